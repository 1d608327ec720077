# ruff: noqa: E501 (statements of SQL keep their lines)
"""Ranges of the log that a restored database abandoned: positions that others know records of, and the log no longer.

Each place in them is taken by a record of a kind of its own (`RecordAbandoned`), written in the transaction that declares the range.
"""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

ABANDONED = """
create table bus.abandoned (
  topic    text        not null,
  part     smallint    not null,
  first    bigint      not null,
  until    bigint      not null check (until > first),
  at       bigint      not null,
  declared timestamptz not null default clock_timestamp(),
  by       text        not null,
  primary key (topic, part, first)
);
grant select on bus.abandoned to orion_reader, orion_writer;
"""


def upgrade() -> None:
    op.execute(ABANDONED)


def downgrade() -> None:
    op.execute("drop table bus.abandoned")
