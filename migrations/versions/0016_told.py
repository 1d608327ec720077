"""When the database itself saw that a browser session ended, or that something was revoked.

Copies of a service ask what has ended lately. Their own clocks may differ; the database has one. It is filled in as the row
is written, so readers look back for longer than a transaction may last.
"""

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

ENDED = """
alter table bff_workstation.sessions add column told_at timestamptz;
create index sessions_told on bff_workstation.sessions (told_at) where told_at is not null;
"""

REVOKED = """
alter table identity.revocations add column told_at timestamptz not null default clock_timestamp();
create index revocations_told on identity.revocations (told_at);
"""


def upgrade() -> None:
    op.execute(ENDED)
    op.execute(REVOKED)


def downgrade() -> None:
    op.execute("alter table identity.revocations drop column told_at")
    op.execute("alter table bff_workstation.sessions drop column told_at")
