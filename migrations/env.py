"""Alembic's door: `alembic upgrade head --sql` prints the SQL; without --sql it runs as `orion
migrate` does.
"""

import asyncio

from alembic import context

from orion.platform.store.migrate import migrate

if context.is_offline_mode():
    context.configure(
        dialect_name="postgresql",
        dialect_opts={"paramstyle": "named"},
        version_table_schema="platform",
    )
    with context.begin_transaction():
        context.run_migrations()
else:
    dsn = context.config.get_main_option("sqlalchemy.url") or ""
    asyncio.run(migrate(dsn))
