"""The audit trail after its database was put back to before: `orion restored` lets it go on, and
only a line signed with the key excuses what the anchors know.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg

from orion.platform.bus.postgres import PostgresBus
from orion.platform.bus.ring import Ring
from orion.platform.store.database import PostgresDatabase
from orion.platform.store.postgres import PostgresStore
from orion.services.audit.outside import AnchorFile
from orion.services.audit.verify import Report, verify_audit
from tests.postgres import PASSWORDS, Server, TestDatabase
from tests.services.machine import Machine, Said, say
from tests.services.test_audit import history, recorded, recorder_of, running


@asynccontextmanager
async def machine_on(db: TestDatabase) -> AsyncIterator[Machine]:
    """The adapters, as long as the block lasts."""
    ring = Ring()
    store, bus = PostgresStore(db.writer, ring), PostgresBus(db.writer, ring=ring)
    database = PostgresDatabase(db.reader, db.writer)
    yield Machine(db, ring, store, bus, database)
    for one in (database, bus, store):
        await one.close()


async def work(db: TestDatabase, data_dir: Path, said: list[Said], total: int) -> None:
    """Says it, has it recorded and anchored."""
    async with machine_on(db) as machine:
        recorder = recorder_of(machine, data_dir)
        await say(machine, *said)
        async with running(recorder):
            await recorded(machine, total)
        await recorder.anchor()


async def check(db: TestDatabase, data_dir: Path) -> Report:
    async with machine_on(db) as machine:
        return await verify_audit(machine.database, data_dir, data_dir / "secrets")


async def orion(db: TestDatabase, data_dir: Path, *words: str) -> tuple[int, str]:
    """A verb of the command line, with this database."""
    for role, password in PASSWORDS.items():
        file = data_dir / "secrets" / f"postgres-{role}"
        file.touch(0o600)
        file.write_text(password)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "orion.app", *words),
        env={
            **{k: v for k, v in os.environ.items() if not k.startswith("ORION_")},
            "ORION_DATA_DIR": str(data_dir), "ORION_POSTGRES_DSN": db.admin,
        },
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    out, _ = await process.communicate()
    return process.returncode or 0, out.decode()


async def run(postgres: Server, *statements: str) -> None:
    sql = await asyncpg.connect(postgres.dsn("postgres", "test-postgres", "postgres"))
    for one in statements:
        await sql.execute(one)
    await sql.close()


async def test_the_trail_goes_on_after_a_restore(postgres: Server, tmp_path: Path) -> None:
    async with postgres.database() as db:
        kept, lost, after = history(8, 0), history(6, 1), history(9, 2)
        await work(db, tmp_path, kept, len(kept))
        await run(postgres, f"create database backup template {db.name} strategy file_copy")
        await work(db, tmp_path, lost, len(kept) + len(lost))
        await run(
            postgres,
            f"drop database {db.name} with (force)", f"alter database backup rename to {db.name}",
        )  # fmt: skip
        assert any("anchor" in v for v in (await check(db, tmp_path)).violations)

        code, told = await orion(db, tmp_path, "restored", "--check")
        assert code == 1 and "6 records are lost from the log" in told and "--apply" in told
        code, told = await orion(db, tmp_path, "restored", "--apply")
        assert code == 0 and "goes on above" in told, told
        code, told = await orion(db, tmp_path, "restored", "--apply")
        assert code == 0 and "nothing is to be done" in told, told

        await work(db, tmp_path, after, len(kept) + len(lost) + len(after))
        report = await check(db, tmp_path)
        assert report.violations == []
        assert report.rows == report.log_rows == len(kept) + len(lost) + len(after)
        assert sum("a restore abandoned rows" in note for note in report.notes) == 4
        code, told = await orion(db, tmp_path, "audit", "verify")
        assert code == 0 and " 0 violations" in told

        await _only_the_key_excuses(db, tmp_path)


async def _only_the_key_excuses(db: TestDatabase, data_dir: Path) -> None:
    file = AnchorFile(data_dir / "audit-anchors")
    lines = file.lines()
    at = next(n for n, line in enumerate(lines) if "abandoned" in json.loads(line))
    longer = json.loads(lines[at])
    longer["abandoned"][0][3] += 1
    file.path.write_text("\n".join([*lines[:at], json.dumps(longer), *lines[at + 1 :]]) + "\n")
    wrong = (await check(db, data_dir)).violations
    assert any("is not one of ours" in v for v in wrong)
    assert any("an anchor knows another row" in v for v in wrong)
