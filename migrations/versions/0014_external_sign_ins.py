"""Accounts of an external issuer, as far as they were seen here; revocations of them.

A session of such an issuer may outlive ours and give good tokens again, so its revocation says up to when (`until`). Who is kept
out is kept out of tokens to come as well (`at` in the far future), until that is lifted.
"""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

EXTERNAL_USERS = """
    tenant        text not null,
    subject       text not null,
    user_name     text not null,
    display_name  text not null,
    desk          text not null,
    disabled      boolean not null default false,
    first_seen    bigint not null,
    last_seen     bigint not null,
    primary key (tenant, subject)
"""


def upgrade() -> None:
    op.execute(f"create table identity.external_users ({EXTERNAL_USERS})")
    op.execute("select platform.protect('identity.external_users')")
    op.execute("revoke all on identity.external_users from orion_reader")
    op.execute("create index external_users_by_name on identity.external_users (lower(user_name))")
    op.execute("alter table identity.revocations add column until bigint, add column lifted boolean not null default false")


def downgrade() -> None:
    op.execute("alter table identity.revocations drop column until, drop column lifted")
    op.execute("drop table identity.external_users")
