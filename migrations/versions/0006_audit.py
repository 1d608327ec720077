"""Audit: the append-only log with its hash chains, their signed heads, and the anchors that were written outside."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

TABLES = """
create schema audit;
grant usage on schema audit to orion_reader, orion_writer;

-- One row per event of every topic but ticks, in offset order per (topic, part). `hash` covers the row and the row before it.
create table audit.audit_log (
  tenant      text     not null,
  topic       text     not null,
  part        smallint not null,
  offs        bigint   not null,
  at          bigint   not null,
  entity_type text     not null,
  entity      text     not null,
  seq         bigint   not null,
  type        text     not null,
  event_id    text     not null,
  service     text     not null,
  correlation text     not null,
  body        bytea    not null,
  hash        bytea    not null,
  primary key (tenant, topic, part, offs)
);
create unique index audit_log_chain on audit.audit_log (topic, part, offs);
create index audit_log_correlation on audit.audit_log (tenant, correlation, at);
select platform.protect('audit.audit_log');
revoke update, delete, truncate on audit.audit_log from orion_writer;

create function audit.refuse_change() returns trigger language plpgsql as $$
begin
  raise exception 'the audit log is append-only' using errcode = 'insufficient_privilege';
end $$;
create trigger append_only before update or delete on audit.audit_log
  for each row execute function audit.refuse_change();
create trigger never_emptied before truncate on audit.audit_log
  for each statement execute function audit.refuse_change();

-- Where each chain stands: `next` offset, the last hash, and an HMAC over both with a key that is not in the database.
create table audit.chain_head (
  topic     text     not null,
  part      smallint not null,
  next      bigint   not null,
  hash      bytea    not null,
  signature bytea    not null,
  primary key (topic, part)
) with (fillfactor = 40);
grant select, insert, update on audit.chain_head to orion_writer;

-- The anchors as they were written to the file, so that neither can lose one unnoticed. Unconfirmed: the file may not have it yet.
create table audit.anchors (
  seq       bigint  not null primary key,
  line      text    not null,
  confirmed boolean not null default false
);
grant select, insert, update on audit.anchors to orion_writer;
"""


def upgrade() -> None:
    op.execute(TABLES)


def downgrade() -> None:
    op.execute("drop schema audit cascade")
