"""All positions of a consumer's effect in one statement."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

EFFECT = """
-- The beginning of a consumer's transaction: its tenants and its positions, all by compare and set. A position that was never kept is 0.
create or replace function bus.begin_effect(p_tenants text[], c_consumer text[], c_topic text[], c_part integer[], c_from bigint[],
  c_to bigint[]) returns void language plpgsql as $$
declare v_moved bigint; v_new bigint;
begin
  perform set_config('orion.tenants', p_tenants::text, true);
  if cardinality(c_consumer) = 0 then return; end if;
  update bus.ckpt k set offs = c.upto, done = k.done + (c.upto - c.start)
    from unnest(c_consumer, c_topic, c_part, c_from, c_to) as c(consumer, topic, part, start, upto)
   where k.consumer = c.consumer and k.topic = c.topic and k.part = c.part and k.offs = c.start;
  get diagnostics v_moved = row_count;
  if v_moved = cardinality(c_consumer) then return; end if;
  insert into bus.ckpt (consumer, topic, part, offs, done)
  select c.consumer, c.topic, c.part, c.upto, c.upto
    from unnest(c_consumer, c_topic, c_part, c_from, c_to) as c(consumer, topic, part, start, upto)
   where c.start = 0
  on conflict do nothing;
  get diagnostics v_new = row_count;
  if v_moved + v_new <> cardinality(c_consumer) then
    raise exception 'checkpoint moved' using errcode = 'OR002', detail = c_consumer[1];
  end if;
end $$;
"""

BEFORE = """
create or replace function bus.begin_effect(p_tenants text[], c_consumer text[], c_topic text[], c_part integer[], c_from bigint[],
  c_to bigint[]) returns void language plpgsql as $$
begin
  perform set_config('orion.tenants', p_tenants::text, true);
  for i in 1 .. cardinality(c_consumer) loop
    perform bus.advance(c_consumer[i], c_topic[i], c_part[i], c_from[i], c_to[i]);
  end loop;
end $$;
"""


def upgrade() -> None:
    op.execute(EFFECT)


def downgrade() -> None:
    op.execute(BEFORE)
