"""Reference data, and what screens need of market data when the cache is empty: newest prices and bars. All in the tenant `shared`."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# `body` is the whole entity as its event carried it; the columns beside it are what is looked for.
REFERENCE = """
create schema if not exists reference;
grant usage on schema reference to orion_reader, orion_writer;

create table reference.instruments (
  tenant         text    not null,
  instrument_id  text    not null,
  version        integer not null,
  asset_class    text    not null,
  symbol         text    not null,
  isin           text,
  enabled        boolean not null,
  updated_at     bigint  not null,
  body           text    not null,
  primary key (tenant, instrument_id)
);

create table reference.venues (
  tenant      text    not null,
  venue_id    text    not null,
  version     integer not null,
  mic         text    not null,
  enabled     boolean not null,
  updated_at  bigint  not null,
  body        text    not null,
  primary key (tenant, venue_id)
);

create table reference.liquidity_providers (
  tenant      text    not null,
  lp_id       text    not null,
  version     integer not null,
  name        text    not null,
  enabled     boolean not null,
  updated_at  bigint  not null,
  body        text    not null,
  primary key (tenant, lp_id)
);
"""

# Prices stay text: exactly what was published. Times are microseconds.
MARKET = """
create schema if not exists marketdata_projection;
grant usage on schema marketdata_projection to orion_reader, orion_writer;

create table marketdata_projection.rm_market_snapshot (
  tenant            text    not null,
  instrument_id     text    not null,
  bid               text,
  ask               text,
  mid               text,
  timestamp_us      bigint  not null,
  received_at_us    bigint  not null,
  source            text    not null,
  flags             text[]  not null default '{}',
  source_timestamp_us bigint,
  heartbeat_at_us   bigint,
  day               date    not null,
  day_low           text,
  day_high          text,
  open              text,
  primary key (tenant, instrument_id)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500);

create table marketdata_projection.rm_market_bars (
  tenant         text    not null,
  instrument_id  text    not null,
  at_us          bigint  not null,
  mid            text    not null,
  low            text    not null,
  high           text    not null,
  spread         text    not null,
  spread_max     text    not null,
  ticks          integer not null,
  primary key (tenant, instrument_id, at_us)
);
create index rm_market_bars_oldest on marketdata_projection.rm_market_bars (at_us);
"""

TABLES = (
    "reference.instruments",
    "reference.venues",
    "reference.liquidity_providers",
    "marketdata_projection.rm_market_snapshot",
    "marketdata_projection.rm_market_bars",
)


def upgrade() -> None:
    op.execute(REFERENCE)
    op.execute(MARKET)
    for table in TABLES:
        op.execute(f"select platform.protect('{table}')")


def downgrade() -> None:
    op.execute("drop schema marketdata_projection cascade")
    op.execute("drop schema reference cascade")
