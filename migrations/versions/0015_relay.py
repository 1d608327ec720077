# ruff: noqa: E501 (statements of SQL keep their lines)
"""How far the log has been published to Kafka (cluster profile): one row per partition that a relay
has begun.

`offs` is the next offset to publish: everything before it is acknowledged. A relay whose lease is of
an older epoch moves nothing.
"""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

RELAY = """
create table bus.relayed (
  topic text     not null,
  part  smallint not null,
  offs  bigint   not null,
  epoch bigint   not null,
  primary key (topic, part)
) with (fillfactor = 20, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 200);
grant select, insert, update on bus.relayed to orion_writer;

-- The mark of a partition, made where there is none: at the first record that the log still has.
create function bus.begin_relay(p_topic text, p_part integer, p_epoch bigint, out offs bigint, out epoch bigint)
language plpgsql as $$
begin
  insert into bus.relayed as r (topic, part, offs, epoch)
  values (p_topic, p_part, coalesce((select h.kept from bus.head h where h.topic = p_topic and h.part = p_part), 0), p_epoch)
  on conflict (topic, part) do update set epoch = greatest(r.epoch, excluded.epoch)
  returning r.offs, r.epoch into begin_relay.offs, begin_relay.epoch;
end $$;
"""


def upgrade() -> None:
    op.execute(RELAY)


def downgrade() -> None:
    op.execute("drop function bus.begin_relay(text, integer, bigint)")
    op.execute("drop table bus.relayed")
