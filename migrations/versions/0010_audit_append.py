"""All rows and heads of an audit batch in one call.

An audit row is seldom above 8 KB and is written once: kept in its page as it is, it is not compressed at the moment that counts.
"""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

AUDIT = """
-- Rows in the order of their chains, and the heads behind them by compare and set: all, or an error.
create or replace function audit.append(l_topic text[], l_part integer[], l_offs bigint[], l_at bigint[], l_tenant text[], l_entity_type text[],
  l_entity text[], l_seq bigint[], l_type text[], l_event_id text[], l_service text[], l_correlation text[], l_body bytea[],
  l_hash bytea[], h_topic text[], h_part integer[], h_from bigint[], h_next bigint[], h_hash bytea[], h_signature bytea[])
returns void language plpgsql as $$
declare v_moved bigint; v_new bigint;
begin
  update audit.chain_head k set next = h.next, hash = h.hash, signature = h.signature
    from unnest(h_topic, h_part, h_from, h_next, h_hash, h_signature) as h(topic, part, start, next, hash, signature)
   where k.topic = h.topic and k.part = h.part and k.next = h.start;
  get diagnostics v_moved = row_count;
  if v_moved < cardinality(h_topic) then
    insert into audit.chain_head (topic, part, next, hash, signature)
    select h.topic, h.part, h.next, h.hash, h.signature
      from unnest(h_topic, h_part, h_from, h_next, h_hash, h_signature) as h(topic, part, start, next, hash, signature)
     where h.start = 0
    on conflict do nothing;
    get diagnostics v_new = row_count;
    if v_moved + v_new <> cardinality(h_topic) then
      raise exception 'a chain has gone on' using errcode = 'OR002', detail = 'audit';
    end if;
  end if;
  insert into audit.audit_log (topic, part, offs, at, tenant, entity_type, entity, seq, type, event_id, service, correlation, body, hash)
  select * from unnest(l_topic, l_part, l_offs, l_at, l_tenant, l_entity_type, l_entity, l_seq, l_type, l_event_id, l_service,
    l_correlation, l_body, l_hash);
end $$;
alter table audit.audit_log set (toast_tuple_target = 8160);
"""


def upgrade() -> None:
    op.execute(AUDIT)


def downgrade() -> None:
    op.execute("drop function audit.append")
    op.execute("alter table audit.audit_log reset (toast_tuple_target)")
