"""`orion replay` from end to end: a range again in a sandbox, a read model of it to look at, and
who did it; what is real is left as it was.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from orion.core.rfq import events
from orion.platform.project_run import projector
from orion.platform.verify import verify
from orion.services.rfq.blotter import RfqBlotter
from orion.wire.envelope import decode, encode
from tests.core.rfq_world import T0
from tests.postgres import PASSWORDS
from tests.services.machine import START, Machine, Said, say
from tests.wire.samples import sample

ROOT = Path(__file__).resolve().parents[2]
SECOND = 1_000_000


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A data folder whose passwords are those of the test's server."""
    secrets = tmp_path / "secrets"
    secrets.mkdir(mode=0o700)
    for role, password in PASSWORDS.items():
        (secrets / f"postgres-{role}").write_text(password)
        (secrets / f"postgres-{role}").chmod(0o600)
    return tmp_path


def created(number: int, part: int) -> Said:
    """An RFQ, a second after the one before."""
    event: Any = sample(events.RFQCreated, full=True)
    name = f"{part:04x}{number:026d}"
    body = encode(
        event, tenant="alpha", entity_id=name, sequence=1, at=START + number * SECOND,
        producer="rfq", correlation_id=name, causation_id="",
    )  # fmt: skip
    # A sample's whole numbers are all the same, too great for some columns.
    body = body.replace(str(T0 + 123).encode(), b"30").replace(event.rfq_id.encode(), name.encode())
    return Said(
        "rfq.lifecycle", part, "alpha", name, "RFQCreated", at=START + number * SECOND, body=body
    )


async def orion(machine: Machine, home: Path, *words: str, code: int = 0) -> str:
    """The command line against the test's database."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("ORION_")}
    paths = {"PYTHONPATH": str(ROOT / "src"), "COLUMNS": "200"}
    where = {"ORION_DATA_DIR": str(home), "ORION_POSTGRES_DSN": machine.db.admin}
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-P", "-m", "orion.app.cli", *words],
        env=kept | paths | where, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    return (done.stderr if code else done.stdout).strip()


async def real(machine: Machine) -> list[Any]:
    """Everything that must not change: the topic, its consumer, its read model."""
    sql = await asyncpg.connect(machine.db.owner)
    found = [
        await sql.fetch(
            "select topic, part, next from bus.head where topic like 'rfq.%' order by 1, 2"
        ),
        await sql.fetch("select * from bus.ckpt order by 1, 2, 3"),
        await sql.fetch("select t::text from rfq.rm_rfq_blotter t order by 1"),
    ]
    await sql.close()
    return found


async def test_a_range_again_in_a_sandbox(machine: Machine, home: Path) -> None:
    await say(machine, *(created(n, n % 2) for n in range(20)))
    live = projector(RfqBlotter(), bus=machine.bus, store=machine.store)
    task = asyncio.create_task(live.run())
    async with asyncio.timeout(20):
        while sum((await machine.store.positions(RfqBlotter.name)).values()) < 20:
            await asyncio.sleep(0.02)
    before = await real(machine)
    since = "2026-02-02T02:40:05Z"
    assert START == 1_770_000_000_000_000  # which is 02:40:00 of that day
    words = ("replay", "--topic", "rfq.lifecycle", "--into", "look", "--from", since)
    assert "limit of 3" in await orion(machine, home, *words, "--limit", "3", code=1)
    done = await orion(machine, home, *words, "--apply", "rm_rfq_blotter")
    assert "15 records replayed" in done and "15 records applied" in done
    sql = await asyncpg.connect(machine.db.owner)
    rows = await sql.fetch("select rfq_id from sandbox_look.rm_rfq_blotter order by 1")
    assert [r[0] for r in rows] == sorted(created(n, n % 2).entity for n in range(5, 20))
    again = await orion(machine, home, *words, "--apply", "rm_rfq_blotter")
    assert "0 records replayed" in again and "0 records applied" in again
    other = await orion(machine, home, *words[:-2], "--to", "3", code=1)
    assert "another range" in other
    assert "15 records, 0 left (table)" in await orion(machine, home, "sandbox", "list")
    assert await real(machine) == before
    told = await sql.fetch(
        "select tenant, seq, body from bus.log where topic = 'operations.replays' order by offs"
    )
    said = [decode(bytes(r["body"]))[1] for r in told]
    assert [(type(e).__name__, e.records) for e in said] == [
        ("ReplayStarted", 15), ("ReplayEnded", 15), ("ReplayStarted", 0), ("ReplayEnded", 0),
    ]  # fmt: skip
    assert all(e.by.startswith("cli:") for e in said)
    report = await verify(machine.db.owner, services=(), projections=[RfqBlotter()])
    assert report.violations == []
    await orion(machine, home, "sandbox", "drop", "look")
    assert not await sql.fetchval("select to_regnamespace('sandbox_look') is not null")
    assert await real(machine) == before
    await sql.close()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
