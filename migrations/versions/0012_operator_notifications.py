"""What the people who run the platform should know: dead letters, set aside and replayed. A projection; who has read which
stands with the other read marks."""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
create table notifications.rm_operator_notifications (
  tenant          text   not null,
  notification_id text   not null,
  kind            text   not null,
  severity        text   not null,
  at              bigint not null,
  title           text   not null,
  text            text   not null,
  primary key (tenant, notification_id)
)""")
    op.execute("create index rm_operator_notifications_newest on notifications.rm_operator_notifications (at desc)")
    op.execute("select platform.protect('notifications.rm_operator_notifications')")


def downgrade() -> None:
    op.execute("drop table notifications.rm_operator_notifications")
