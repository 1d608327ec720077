"""RFQ: the owner's tables, the blotter, quotes and dealers' statistics."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# Columns that both the table of RFQs and the blotter carry. All but the key may be null: topics have no order among each
# other, so a quote's event may be seen before the event that tells what the RFQ was. Such a row has no created_at yet, and
# queries leave it out.
TERMS = """
    tenant           text not null,
    rfq_id           text not null,
    display_id       text,
    status           text,
    version          integer,
    correlation_id   text,
    subject          text,
    requester        text,
    desk             text,
    instrument_id    text,
    side             text,
    size             text,
    currency         text,
    min_size         text,
    partial_allowed  boolean,
    venue_id         text,
    settlement_date  text,
    expiry_seconds   integer,
    created_at       bigint,
    expires_at       bigint,
    ended_at         bigint,
    mid_at_request   text,
    accepted_quote_id text,
    trade_id         text,
    reason_code      text,
    reason           text
"""


def upgrade() -> None:
    op.execute("create schema if not exists rfq")
    op.execute("select platform.owner_tables('rfq')")
    op.execute(f"create table rfq.rfqs ({TERMS}, primary key (tenant, rfq_id)) with (fillfactor = 70)")
    op.execute("""
        create table rfq.quotes (
            tenant       text not null,
            quote_id     text not null,
            rfq_id       text,
            lp_id        text,
            price        text,
            size         text,
            status       text not null default 'QUOTED',
            received_at  bigint,
            expires_at   bigint,
            response_ms  double precision,
            spread_to_mid text,
            reason       text,
            primary key (tenant, quote_id)
        ) with (fillfactor = 80)
    """)
    op.execute("create index quotes_of_rfq on rfq.quotes (tenant, rfq_id)")
    op.execute(f"""
        create table rfq.rm_rfq_blotter ({TERMS},
            dealer_count integer,
            quote_count  bigint not null default 0,
            lowest       numeric,
            highest      numeric,
            price        text,
            lp_id        text,
            primary key (tenant, rfq_id)
        ) with (fillfactor = 70)
    """)
    op.execute("create index rm_rfq_blotter_newest on rfq.rm_rfq_blotter (tenant, created_at desc, rfq_id desc)")
    buckets = ",\n".join(f"            response_{n:02} bigint not null default 0" for n in range(24))
    op.execute(f"""
        create table rfq.rm_dealer_statistics (
            tenant              text not null,
            lp_id               text not null,
            requests            bigint not null default 0,
            quoted              bigint not null default 0,
            passed              bigint not null default 0,
            late                bigint not null default 0,
            won                 bigint not null default 0,
            last_look_asked     bigint not null default 0,
            last_look_rejected  bigint not null default 0,
            spread_count        bigint not null default 0,
            spread_centi_bps    bigint not null default 0,
{buckets},
            primary key (tenant, lp_id)
        ) with (fillfactor = 50)
    """)
    for table in ("rfqs", "quotes", "rm_rfq_blotter", "rm_dealer_statistics"):
        op.execute(f"select platform.protect('rfq.{table}')")


def downgrade() -> None:
    op.execute("drop schema rfq cascade")
