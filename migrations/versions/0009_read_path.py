"""The read path in fewer steps: all positions of an effect in one statement, all rows and heads of an audit batch in one call.

An audit row is seldom above 8 KB and is written once: kept in its page as it is, it is not compressed at the moment that counts.
"""

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

AUDIT = """
-- Rows in the order of their chains, and the heads behind them by compare and set: all, or an error.
create function audit.append(l_topic text[], l_part integer[], l_offs bigint[], l_at bigint[], l_tenant text[], l_entity_type text[],
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
    op.execute(AUDIT)


def downgrade() -> None:
    op.execute("drop function audit.append")
    op.execute("alter table audit.audit_log reset (toast_tuple_target)")
    op.execute(BEFORE)
