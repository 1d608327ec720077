"""Dead letters say what becomes of them: an event in the log for each change, written with it.

The number of events a letter has is kept with it (`said`), so that the next one knows its sequence
and `verify` can compare. Letters from before have none.
"""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

LETTERS = """
alter table bus.dead_letters
  add column told_as  text   not null default '',  -- the entity of its events
  add column said     bigint not null default 0,   -- how many there are
  add column asked_by text   not null default '',  -- who wanted the replay
  add column outcome  text   not null default '';  -- of the last replay

comment on table bus.processed_events is
  'The inbox of what does not come by a position in the log: letters replayed, events of other systems.
   A consumer writes its row in the transaction of the effect; who finds one there has nothing to do.';

-- Events of a topic that has no owner: anyone may write them, in whatever transaction makes them true. The head''s row lock numbers
-- them without a gap. It is to be taken after all other locks of the transaction. Returns the first offset and the instant.
create function bus.say(p_topic text, p_at bigint, l_tenant text[], l_entity text[], l_seq bigint[], l_type text[],
  l_event_id text[], l_body bytea[], out first bigint, out at bigint) language plpgsql as $$
declare
  v_count bigint := cardinality(l_tenant);
  v_period timestamptz;
  v_now timestamptz := date_trunc('day', clock_timestamp() at time zone 'UTC') at time zone 'UTC';
begin
  insert into bus.head (topic, part) values (p_topic, 0) on conflict do nothing;
  update bus.head h set next = h.next + v_count, at = greatest(h.at, p_at), period = greatest(h.period, v_now)
   where h.topic = p_topic and h.part = 0
  returning h.next - v_count, h.at, h.period into first, at, v_period;
  insert into bus.log (topic, part, offs, period, at, tenant, entity, seq, type, event_id, body)
  select p_topic, 0, say.first + l.n - 1, v_period, say.at, l.tenant, l.entity, l.seq, l.type, l.event_id, l.body
    from unnest(l_tenant, l_entity, l_seq, l_type, l_event_id, l_body) with ordinality
      as l(tenant, entity, seq, type, event_id, body, n);
end $$;
"""


def upgrade() -> None:
    op.execute(LETTERS)


def downgrade() -> None:
    op.execute(
        "drop function bus.say(text, bigint, text[], text[], bigint[], text[], text[], bytea[])"
    )
    op.execute("alter table bus.dead_letters drop told_as, drop said, drop asked_by, drop outcome")
