"""The user's own things (preferences, watchlists) and what they should know (notifications)."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

WORKSPACE = """
create schema workspace;
grant usage on schema workspace to orion_reader, orion_writer;

create table workspace.ui_preferences (
  tenant  text    not null,
  subject text    not null,
  version integer not null,
  body    bytea   not null,
  at      bigint  not null,
  primary key (tenant, subject)
);

create table workspace.watchlists (
  tenant         text    not null,
  watchlist_id   text    not null,
  subject        text    not null,
  name           text    not null,
  instrument_ids text[]  not null,
  pinned         text[]  not null,
  position       integer not null,
  version        integer not null,
  made_with      bytea   not null,
  primary key (tenant, watchlist_id)
);
create index watchlists_of on workspace.watchlists (tenant, subject, position);

-- Who has been given the house's lists already: lists that someone threw away do not come back.
create table workspace.welcomed (
  tenant  text   not null,
  subject text   not null,
  at      bigint not null,
  primary key (tenant, subject)
);
select platform.protect('workspace.ui_preferences');
select platform.protect('workspace.watchlists');
select platform.protect('workspace.welcomed');
"""

NOTIFICATIONS = """
create schema notifications;
grant usage on schema notifications to orion_reader, orion_writer;

-- Both are projections and can be rebuilt; what a user has read is not in them.
create table notifications.rm_notification_parties (
  tenant        text not null,
  rfq_id        text not null,
  subject       text,
  requester     text,
  display_id    text,
  correlation   text,
  instrument_id text,
  side          text,
  size          text,
  currency      text,
  primary key (tenant, rfq_id)
);
create table notifications.rm_notifications (
  tenant          text   not null,
  notification_id text   not null,
  rfq_id          text   not null,
  kind            text   not null,
  severity        text   not null,
  at              bigint not null,
  text            text   not null,
  trade_id        text,
  primary key (tenant, notification_id)
);
create index rm_notification_parties_of on notifications.rm_notification_parties (tenant, subject);
create index rm_notifications_of on notifications.rm_notifications (tenant, rfq_id);
create table notifications.read_marks (
  tenant          text   not null,
  subject         text   not null,
  notification_id text   not null,
  at              bigint not null,
  primary key (tenant, subject, notification_id)
);
select platform.protect('notifications.rm_notification_parties');
select platform.protect('notifications.rm_notifications');
select platform.protect('notifications.read_marks');
"""


def upgrade() -> None:
    op.execute(WORKSPACE)
    op.execute(NOTIFICATIONS)


def downgrade() -> None:
    op.execute("drop schema notifications cascade")
    op.execute("drop schema workspace cascade")
