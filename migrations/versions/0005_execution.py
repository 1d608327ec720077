"""Execution: the owner's tables, trades and their blotter."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

TRADE = """
    tenant          text not null,
    trade_id        text not null,
    display_id      text not null,
    rfq_id          text not null,
    quote_id        text not null,
    correlation_id  text not null,
    subject         text not null,
    requester       text not null,
    desk            text not null,
    instrument_id   text not null,
    side            text not null,
    quantity        text not null,
    price           text not null,
    notional        text not null,
    currency        text not null,
    buyer           text not null,
    seller          text not null,
    lp_id           text not null,
    venue_id        text not null,
    traded_at       bigint not null,
    settlement_date text not null,
    status          text not null,
    primary key (tenant, trade_id)
"""


def upgrade() -> None:
    op.execute("create schema if not exists execution")
    op.execute("select platform.owner_tables('execution')")
    # The pair (rfq, quote) is unique beside the id that is derived from it: two walls against a second trade.
    op.execute(f"create table execution.trades ({TRADE}, unique (tenant, rfq_id, quote_id))")
    op.execute(f"create table execution.rm_trade_blotter ({TRADE})")
    op.execute("create index rm_trade_blotter_newest on execution.rm_trade_blotter (tenant, traded_at desc, trade_id desc)")
    for table in ("trades", "rm_trade_blotter"):
        op.execute(f"select platform.protect('execution.{table}')")


def downgrade() -> None:
    op.execute("drop schema execution cascade")
