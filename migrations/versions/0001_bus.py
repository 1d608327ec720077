"""The event backbone: roles' rights, the log, heads, checkpoints, dead letters, and the functions that services' tables are made with.

Runs as orion_owner (orion.platform.store.migrate makes the three roles first). Valid for PostgreSQL 15 to 18.
"""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SCHEMAS = """
create schema if not exists platform;
create schema bus;
grant usage on schema platform, bus to orion_reader, orion_writer;

-- Tenant isolation. Readers see their tenant and `shared`, by a setting that ends with the transaction. The writer's batches mix
-- tenants, so it sees all and may write only those it named beforehand. The sub-select makes the setting be read once per statement.
create function platform.protect(p_table regclass) returns void language plpgsql as $$
begin
  if not exists (select from pg_attribute
                 where attrelid = p_table and attname = 'tenant' and not attisdropped) then
    raise exception '% has no column tenant', p_table;
  end if;
  execute format('alter table %s enable row level security', p_table);
  execute format('alter table %s force row level security', p_table);
  execute format('create policy owner_all on %s to orion_owner using (true) with check (true)', p_table);
  execute format('create policy reader_own on %s for select to orion_reader
    using (tenant = any (array[(select current_setting(''orion.tenant'', true)), ''shared'']))', p_table);
  execute format('create policy writer_named on %s to orion_writer using (true)
    with check (tenant = any ((select nullif(current_setting(''orion.tenants'', true), ''''))::text[]))', p_table);
  execute format('revoke all on %s from public', p_table);
  execute format('grant select on %s to orion_reader', p_table);
  execute format('grant select, insert, update, delete on %s to orion_writer', p_table);
end $$;
"""

BUS = """
-- One row per partition: the next offset, who may write it until when (a lease by this database's clock), and the epoch that proves
-- it in every batch. Also the routing directory. `kept`: the first offset that retention has not removed.
create table bus.head (
  topic       text        not null,
  part        smallint    not null,
  next        bigint      not null default 0,
  kept        bigint      not null default 0,
  epoch       bigint      not null default 0,
  owner       text        not null default '',
  instance    text        not null default '',
  lease_until timestamptz not null default '-infinity',
  at          bigint      not null default 0,
  period      timestamptz not null default '-infinity',
  primary key (topic, part)
) with (fillfactor = 20, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 200);
grant select, insert, update on bus.head to orion_writer;
grant select on bus.head to orion_reader;

-- Which copies of a service are alive, so that they share its partitions.
create table bus.copies (
  service    text        not null,
  instance   text        not null,
  address    text        not null,
  seen_until timestamptz not null,
  primary key (service, instance)
) with (fillfactor = 20);
grant select, insert, update, delete on bus.copies to orion_writer;

-- The log is the outbox. `period` is the beginning of the day (hour) that the row is kept in; it never goes back along a partition.
-- `root` is the aggregate whose revision the fact raised, where that is not the entity itself.
create table bus.log (
  topic    text        not null,
  part     smallint    not null,
  offs     bigint      not null,
  period   timestamptz not null,
  at       bigint      not null,
  tenant   text        not null,
  root     text,
  entity   text        not null,
  seq      bigint      not null,
  type     text        not null,
  event_id text        not null,
  body     bytea       not null,
  primary key (topic, part, offs, period)
) partition by range (period);
create table bus.log_hourly (like bus.log) partition by range (period);
alter table bus.log_hourly add primary key (topic, part, offs, period);
select platform.protect('bus.log');
select platform.protect('bus.log_hourly');
revoke update, delete on bus.log, bus.log_hourly from orion_writer;

create view bus.outbox_events with (security_invoker = true) as
  select event_id, topic, part, offs, at as occurred_at, tenant, entity, seq, type, body from bus.log
  union all
  select event_id, topic, part, offs, at, tenant, entity, seq, type, body from bus.log_hourly;
grant select on bus.outbox_events to orion_reader, orion_writer;

create table bus.ckpt (
  consumer text     not null,
  topic    text     not null,
  part     smallint not null,
  offs     bigint   not null default 0,
  done     bigint   not null default 0,
  primary key (consumer, topic, part)
) with (fillfactor = 20, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 200);
grant select, insert, update, delete on bus.ckpt to orion_writer;

create table bus.dead_letters (
  tenant   text        not null,
  consumer text        not null,
  topic    text        not null,
  part     smallint    not null,
  offs     bigint      not null,
  entity   text        not null,
  seq      bigint      not null,
  type     text        not null,
  event_id text        not null,
  at       bigint      not null,
  body     bytea       not null,
  error    text        not null,
  trace    text        not null,
  version  text        not null,
  attempts integer     not null,
  status   text        not null check (status in ('waiting', 'requested', 'replayed')),
  parked   boolean     not null default false,
  created  timestamptz not null default now(),
  replayed timestamptz,
  primary key (tenant, consumer, topic, part, offs)
);
create index dead_letters_open on bus.dead_letters (consumer, topic, part) where status <> 'replayed';
select platform.protect('bus.dead_letters');

create table bus.processed_events (
  tenant   text        not null,
  consumer text        not null,
  event_id text        not null,
  at       timestamptz not null default now(),
  primary key (tenant, consumer, event_id)
);
select platform.protect('bus.processed_events');

-- Sequence counters of publishers of events without state; `upto`: the log from this offset on is counted on top.
create table bus.sequences (
  topic  text     not null,
  part   smallint not null,
  tenant text     not null,
  entity text     not null,
  seq    bigint   not null,
  upto   bigint   not null,
  primary key (tenant, topic, part, entity)
) with (fillfactor = 60);
select platform.protect('bus.sequences');
"""

LEASES = """
create function bus.ensure_heads(p_topics text[], p_parts integer) returns void language sql as $$
  insert into bus.head (topic, part)
  select t, p from unnest(p_topics) t, generate_series(0, p_parts - 1) p
  order by t, p on conflict do nothing
$$;

-- Takes one partition of all these topics, if the lease is over (or, with p_succeed, if the holder had the same address: its
-- supervisor saw it die). Waits for a batch still running: the row lock tells the truth.
create function bus.acquire(p_topics text[], p_part integer, p_owner text, p_instance text, p_lease_ms integer, p_succeed boolean)
returns table (topic text, next bigint, epoch bigint, at bigint) language plpgsql as $$
declare v_epoch bigint; v_free boolean; v_count integer;
begin
  perform 1 from bus.head h where h.topic = any (p_topics) and h.part = p_part order by h.topic for update;
  select max(h.epoch), count(*), bool_and(h.lease_until < clock_timestamp() or (p_succeed and h.owner = p_owner))
    into v_epoch, v_count, v_free
    from bus.head h where h.topic = any (p_topics) and h.part = p_part;
  if v_count <> cardinality(p_topics) or not v_free then return; end if;
  return query
    update bus.head h set epoch = v_epoch + 1, owner = p_owner, instance = p_instance,
           lease_until = clock_timestamp() + make_interval(secs => p_lease_ms / 1000.0)
     where h.topic = any (p_topics) and h.part = p_part
    returning h.topic, h.next, h.epoch, h.at;
end $$;

-- Lengthens the leases that are still mine; returns their partitions.
create function bus.renew(p_topics text[], p_parts integer[], p_instance text, p_lease_ms integer)
returns setof integer language plpgsql as $$
begin
  perform 1 from bus.head h
    where h.topic = any (p_topics) and h.part = any (p_parts) and h.instance = p_instance
    order by h.topic, h.part for update;
  return query
    with mine as (
      update bus.head h set lease_until = clock_timestamp() + make_interval(secs => p_lease_ms / 1000.0)
       where h.topic = any (p_topics) and h.part = any (p_parts) and h.instance = p_instance
      returning h.part)
    select m.part::integer from mine m group by m.part having count(*) = cardinality(p_topics);
end $$;

-- After a lost connection: raises my own epoch, so that a batch still running can no longer commit, and tells what is there.
create function bus.raise_epoch(p_topics text[], p_parts integer[], p_instance text, p_lease_ms integer)
returns table (topic text, part integer, next bigint, epoch bigint, at bigint) language plpgsql as $$
begin
  perform 1 from bus.head h
    where h.topic = any (p_topics) and h.part = any (p_parts) and h.instance = p_instance
    order by h.topic, h.part for update;
  return query
    update bus.head h set epoch = h.epoch + 1,
           lease_until = clock_timestamp() + make_interval(secs => p_lease_ms / 1000.0)
     where h.topic = any (p_topics) and h.part = any (p_parts) and h.instance = p_instance
    returning h.topic, h.part::integer, h.next, h.epoch, h.at;
end $$;

create function bus.release(p_topics text[], p_parts integer[], p_instance text) returns void language plpgsql as $$
begin
  perform 1 from bus.head h
    where h.topic = any (p_topics) and h.part = any (p_parts) and h.instance = p_instance
    order by h.topic, h.part for update;
  update bus.head h set owner = '', instance = '', lease_until = '-infinity'
   where h.topic = any (p_topics) and h.part = any (p_parts) and h.instance = p_instance;
end $$;

-- A copy says that it lives (p_ttl_ms 0: that it leaves); returns those that do.
create function bus.announce(p_service text, p_instance text, p_address text, p_ttl_ms integer) returns setof text
language plpgsql as $$
begin
  delete from bus.copies c where c.service = p_service
    and (c.seen_until < clock_timestamp() or (c.instance = p_instance and p_ttl_ms = 0)
         or (c.address = p_address and c.instance <> p_instance));
  if p_ttl_ms > 0 then
    insert into bus.copies as c (service, instance, address, seen_until)
    values (p_service, p_instance, p_address, clock_timestamp() + make_interval(secs => p_ttl_ms / 1000.0))
    on conflict (service, instance) do update set seen_until = excluded.seen_until;
  end if;
  return query select c.instance from bus.copies c
    where c.service = p_service and c.seen_until >= clock_timestamp() order by c.instance;
end $$;

-- The beginning of a consumer's transaction: its tenants and its positions.
create function bus.begin_effect(p_tenants text[], c_consumer text[], c_topic text[], c_part integer[], c_from bigint[], c_to bigint[])
returns void language plpgsql as $$
begin
  perform set_config('orion.tenants', p_tenants::text, true);
  for i in 1 .. cardinality(c_consumer) loop
    perform bus.advance(c_consumer[i], c_topic[i], c_part[i], c_from[i], c_to[i]);
  end loop;
end $$;

-- The first steps of every write: name the tenants, then prove and move the heads one by one in the caller's (sorted) order, then the
-- checkpoints. Returns the period of each head.
create function bus.fence(p_tenants text[], h_topic text[], h_part integer[], h_from bigint[], h_to bigint[], h_epoch bigint[],
  h_at bigint[], p_unit text, c_consumer text[], c_topic text[], c_part integer[], c_from bigint[], c_to bigint[])
returns timestamptz[] language plpgsql as $$
declare
  v_period timestamptz[] := '{}';
  v_one timestamptz;
  v_now timestamptz := date_trunc(p_unit, clock_timestamp() at time zone 'UTC') at time zone 'UTC';
begin
  perform set_config('orion.tenants', p_tenants::text, true);
  for i in 1 .. cardinality(h_topic) loop
    update bus.head set next = h_to[i], at = greatest(at, h_at[i]), period = greatest(period, v_now)
     where topic = h_topic[i] and part = h_part[i] and next = h_from[i] and epoch = h_epoch[i]
    returning period into v_one;
    if not found then
      raise exception 'fenced' using errcode = 'OR001', detail = format('%s/%s', h_topic[i], h_part[i]);
    end if;
    v_period := v_period || v_one;
  end loop;
  for i in 1 .. cardinality(c_consumer) loop
    perform bus.advance(c_consumer[i], c_topic[i], c_part[i], c_from[i], c_to[i]);
  end loop;
  return v_period;
end $$;

-- Compare and set of one log position; `done` counts how many records it has passed.
create function bus.advance(p_consumer text, p_topic text, p_part integer, p_from bigint, p_to bigint) returns void
language plpgsql as $$
begin
  update bus.ckpt set offs = p_to, done = done + (p_to - p_from)
   where consumer = p_consumer and topic = p_topic and part = p_part and offs = p_from;
  if not found then
    if p_from = 0 then
      insert into bus.ckpt (consumer, topic, part, offs, done) values (p_consumer, p_topic, p_part, p_to, p_to)
      on conflict do nothing;
      if found then return; end if;
    end if;
    raise exception 'checkpoint moved' using errcode = 'OR002', detail = format('%s/%s/%s', p_consumer, p_topic, p_part);
  end if;
end $$;

-- Events without state (ticks, sessions, reference): fenced and numbered like all others.
create function bus.append(p_tenants text[], h_topic text[], h_part integer[], h_from bigint[], h_to bigint[], h_epoch bigint[],
  h_at bigint[], p_unit text, l_head integer[], l_offs bigint[], l_at bigint[], l_tenant text[], l_entity text[], l_seq bigint[],
  l_type text[], l_event_id text[], l_body bytea[],
  s_topic text[], s_part integer[], s_tenant text[], s_entity text[], s_seq bigint[], s_upto bigint[])
returns void language plpgsql as $$
declare v_period timestamptz[];
begin
  v_period := bus.fence(p_tenants, h_topic, h_part, h_from, h_to, h_epoch, h_at, p_unit, '{}', '{}', '{}', '{}', '{}');
  if p_unit = 'hour' then
    insert into bus.log_hourly (topic, part, offs, period, at, tenant, entity, seq, type, event_id, body)
    select h_topic[l.h], h_part[l.h], l.offs, v_period[l.h], l.at, l.tenant, l.entity, l.seq, l.type, l.event_id, l.body
      from unnest(l_head, l_offs, l_at, l_tenant, l_entity, l_seq, l_type, l_event_id, l_body)
        as l(h, offs, at, tenant, entity, seq, type, event_id, body);
  else
    insert into bus.log (topic, part, offs, period, at, tenant, entity, seq, type, event_id, body)
    select h_topic[l.h], h_part[l.h], l.offs, v_period[l.h], l.at, l.tenant, l.entity, l.seq, l.type, l.event_id, l.body
      from unnest(l_head, l_offs, l_at, l_tenant, l_entity, l_seq, l_type, l_event_id, l_body)
        as l(h, offs, at, tenant, entity, seq, type, event_id, body);
  end if;
  if cardinality(s_topic) > 0 then
    insert into bus.sequences as s (topic, part, tenant, entity, seq, upto)
    select * from unnest(s_topic, s_part, s_tenant, s_entity, s_seq, s_upto)
    on conflict (tenant, topic, part, entity) do update set seq = excluded.seq, upto = excluded.upto;
  end if;
end $$;

-- The first offset whose record is not older than p_at. `at` never goes back along a partition, so halving finds it.
create function bus.offset_at(p_table regclass, p_topic text, p_part integer, p_at bigint) returns bigint
language plpgsql stable as $$
declare v_low bigint; v_high bigint; v_mid bigint; v_at bigint;
begin
  select next into v_high from bus.head where topic = p_topic and part = p_part;
  if v_high is null then return 0; end if;
  execute format('select offs from %s where topic = $1 and part = $2 order by offs limit 1', p_table)
    into v_low using p_topic, p_part;
  if v_low is null then return v_high; end if;
  while v_low < v_high loop
    v_mid := (v_low + v_high) / 2;
    execute format('select at from %s where topic = $1 and part = $2 and offs = $3', p_table)
      into v_at using p_topic, p_part, v_mid;
    if v_at is null or v_at >= p_at then v_high := v_mid; else v_low := v_mid + 1; end if;
  end loop;
  return v_low;
end $$;
"""

PARTITIONS = """
-- CREATE + ATTACH, because CREATE … PARTITION OF would lock readers out. SECURITY DEFINER so that the writer can keep its own log in
-- partitions; it reads and writes no rows.
create function bus.make_partition(p_table text, p_from timestamptz, p_to timestamptz, p_name text) returns boolean
language plpgsql as $$
begin
  if to_regclass('bus.' || p_name) is not null then return false; end if;
  execute format('create table bus.%I (like bus.%I including defaults including storage,
                  check (period >= %L and period < %L)) with (autovacuum_freeze_min_age = 0)', p_name, p_table, p_from, p_to);
  execute format('alter table bus.%I enable row level security', p_name);
  execute format('alter table bus.%I force row level security', p_name);
  execute format('revoke all on bus.%I from public', p_name);
  execute format('alter table bus.%I attach partition bus.%I for values from (%L) to (%L)', p_table, p_name, p_from, p_to);
  execute format('alter table bus.%I drop constraint %I', p_name, p_name || '_period_check');
  return true;
end $$;

create function bus.make_partitions(p_ahead interval default '2 days') returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare v_made integer := 0; v_at timestamptz; v_now timestamptz := clock_timestamp();
begin
  perform pg_advisory_xact_lock(hashtext('bus.make_partitions'));
  v_at := date_trunc('day', v_now at time zone 'UTC') at time zone 'UTC' - interval '1 day';
  while v_at <= v_now + p_ahead loop
    if bus.make_partition('log', v_at, v_at + interval '1 day',
                          'log_' || to_char(v_at at time zone 'UTC', 'YYYYMMDD')) then v_made := v_made + 1; end if;
    v_at := v_at + interval '1 day';
  end loop;
  v_at := date_trunc('hour', v_now at time zone 'UTC') at time zone 'UTC' - interval '1 hour';
  while v_at <= v_now + p_ahead loop
    if bus.make_partition('log_hourly', v_at, v_at + interval '1 hour',
                          'log_hourly_' || to_char(v_at at time zone 'UTC', 'YYYYMMDDHH24')) then v_made := v_made + 1; end if;
    v_at := v_at + interval '1 hour';
  end loop;
  return v_made;
end $$;
revoke all on function bus.make_partition(text, timestamptz, timestamptz, text) from public;
revoke all on function bus.make_partitions(interval) from public;
grant execute on function bus.make_partitions(interval) to orion_writer;
select bus.make_partitions();
"""

OWNER_TABLES = """
-- What a service with an owner needs: the state of its aggregates, the inbox of its commands, and the one function that writes.
create function platform.owner_tables(p_schema text) returns void language plpgsql as $make$
begin
  execute format('create schema if not exists %I', p_schema);
  execute format('grant usage on schema %I to orion_reader, orion_writer', p_schema);
  execute replace($sql$
    create table __S__.state (
      tenant   text     not null,
      id       text     not null,
      part     smallint not null,
      version  bigint   not null,
      schema   smallint not null,
      live     boolean  not null,
      status   text     not null,
      deadline bigint,
      ordinal  bigint   not null,
      body     bytea    not null,
      primary key (tenant, id)
    ) with (fillfactor = 65, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.1)
  $sql$, '__S__', quote_ident(p_schema));
  execute format('create index state_live on %I.state (part) where live', p_schema);
  execute format('create index state_ordinal on %I.state (part, tenant, ordinal) where ordinal > 0', p_schema);
  execute replace($sql$
    create table __S__.inbox (
      tenant  text     not null,
      part    smallint not null,
      subject text     not null,
      command text     not null,
      key     text     not null,
      hash    bytea    not null,
      reply   bytea    not null,
      at      bigint   not null,
      primary key (tenant, part, subject, command, key)
    ) with (autovacuum_vacuum_scale_factor = 0.02)
  $sql$, '__S__', quote_ident(p_schema));
  execute format('create index inbox_at on %I.inbox using brin (at)', p_schema);
  perform platform.protect(format('%I.state', p_schema)::regclass);
  perform platform.protect(format('%I.inbox', p_schema)::regclass);
  execute replace(platform.put_source(), '__S__', quote_ident(p_schema));
end $make$;

-- Errors of its own: OR001 fenced, OR002 checkpoint moved, OR003 a key is known, OR004 state is not what memory says, OR005 an entity
-- that memory does not know exists.
create function platform.put_source() returns text language sql immutable as $source$ select $put$
create function __S__.put(p_tenants text[],
  h_topic text[], h_part integer[], h_from bigint[], h_to bigint[], h_epoch bigint[], h_at bigint[],
  c_consumer text[], c_topic text[], c_part integer[], c_from bigint[], c_to bigint[],
  i_tenant text[], i_part integer[], i_subject text[], i_command text[], i_key text[], i_hash bytea[], i_reply bytea[], i_at bigint[],
  a_tenant text[], a_id text[],
  n_tenant text[], n_id text[], n_part integer[], n_version bigint[], n_schema integer[], n_live boolean[], n_status text[],
  n_deadline bigint[], n_ordinal bigint[], n_body bytea[],
  u_tenant text[], u_id text[], u_from bigint[], u_version bigint[], u_schema integer[], u_live boolean[], u_status text[],
  u_deadline bigint[], u_body bytea[],
  l_head integer[], l_offs bigint[], l_at bigint[], l_tenant text[], l_root text[], l_entity text[], l_seq bigint[], l_type text[],
  l_event_id text[], l_body bytea[]
) returns void language plpgsql as $body$
declare v_period timestamptz[]; v_rows bigint; v_wanted bigint;
begin
  v_period := bus.fence(p_tenants, h_topic, h_part, h_from, h_to, h_epoch, h_at, 'day',
                        c_consumer, c_topic, c_part, c_from, c_to);
  if cardinality(i_key) > 0 then
    -- A key without a reply is only asked for: this outcome is not kept, but an earlier one may have been.
    perform 1 from unnest(i_tenant, i_part, i_subject, i_command, i_key, i_reply) as i(tenant, part, subject, command, key, reply)
      join __S__.inbox b using (tenant, part, subject, command, key) limit 1;
    if found then raise exception 'key known' using errcode = 'OR003'; end if;
    insert into __S__.inbox (tenant, part, subject, command, key, hash, reply, at)
    select i.* from unnest(i_tenant, i_part, i_subject, i_command, i_key, i_hash, i_reply, i_at)
        as i(tenant, part, subject, command, key, hash, reply, at)
     where i.reply is not null;
  end if;
  if cardinality(a_id) > 0 then
    perform 1 from unnest(a_tenant, a_id) as a(tenant, id) join __S__.state s using (tenant, id) limit 1;
    if found then raise exception 'entity exists' using errcode = 'OR005'; end if;
  end if;
  if cardinality(n_id) > 0 then
    insert into __S__.state (tenant, id, part, version, schema, live, status, deadline, ordinal, body)
    select * from unnest(n_tenant, n_id, n_part, n_version, n_schema, n_live, n_status, n_deadline, n_ordinal, n_body)
    on conflict do nothing;
    get diagnostics v_rows = row_count;
    if v_rows <> cardinality(n_id) then raise exception 'entity exists' using errcode = 'OR005'; end if;
  end if;
  if cardinality(u_id) > 0 then
    update __S__.state s
       set version = u.version, schema = u.schema, live = u.live, status = u.status, deadline = u.deadline, body = u.body
      from unnest(u_tenant, u_id, u_from, u_version, u_schema, u_live, u_status, u_deadline, u_body)
        as u(tenant, id, from_version, version, schema, live, status, deadline, body)
     where s.tenant = u.tenant and s.id = u.id and s.version = u.from_version;
    get diagnostics v_rows = row_count;
    if v_rows <> cardinality(u_id) then raise exception 'state moved' using errcode = 'OR004'; end if;
  end if;
  if cardinality(l_offs) > 0 then
    insert into bus.log (topic, part, offs, period, at, tenant, root, entity, seq, type, event_id, body)
    select h_topic[l.h], h_part[l.h], l.offs, v_period[l.h], l.at, l.tenant, l.root, l.entity, l.seq, l.type, l.event_id, l.body
      from unnest(l_head, l_offs, l_at, l_tenant, l_root, l_entity, l_seq, l_type, l_event_id, l_body)
        as l(h, offs, at, tenant, root, entity, seq, type, event_id, body);
  end if;
end $body$
$put$ $source$;
"""


def upgrade() -> None:
    # One function may call another that comes later; PL/pgSQL resolves names when it runs.
    op.execute(SCHEMAS)
    op.execute(BUS)
    op.execute(LEASES)
    op.execute(OWNER_TABLES)
    op.execute(PARTITIONS)


def downgrade() -> None:
    op.execute("drop schema bus cascade")
    op.execute("drop function platform.owner_tables(text), platform.put_source(), platform.protect(regclass)")
