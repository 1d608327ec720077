"""Market read models keep what is needed to go on where the log was left, and to be made anew from it: each save has its position,
bars are saved while they are made, with the sum their mean comes from and their length.

The tables begin empty: their service reads the log from its beginning once.
"""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

BARS = """
truncate marketdata_projection.rm_market_snapshot, marketdata_projection.rm_market_bars;
alter table marketdata_projection.rm_market_bars
  add column spread_sum text   not null,
  add column length_us  bigint not null;
"""


def upgrade() -> None:
    op.execute(BARS)


def downgrade() -> None:
    op.execute("alter table marketdata_projection.rm_market_bars drop spread_sum, drop length_us")
