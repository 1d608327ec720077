"""A dead letter from end to end: the event in the log, the row in the audit trail of the record's
story, the operator's commands.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from orion.app.letters import letter_fact
from orion.core.deadletter import DeadLetterParked, DeadLetterReplayed
from orion.core.ids import event_id
from orion.platform.bus.port import Record
from orion.platform.clock import ManualClock
from orion.platform.consume import Consumer, ConsumerLimits
from orion.platform.errors import InvalidMessage
from orion.platform.store.port import LETTER_TOPIC
from orion.platform.store.postgres import PostgresStore
from orion.services.audit.config import Config
from orion.services.audit.outside import AnchorFile, read_key
from orion.services.audit.recorder import Recorder
from orion.services.audit.summaries import summary
from orion.services.audit.verify import verify_audit
from orion.wire.envelope import decode, payload_json
from tests.postgres import PASSWORDS
from tests.services.machine import START, Machine, Said, say

ROOT = Path(__file__).resolve().parents[2]
GROUP = "rm_rfq_blotter"


class Reader:
    """Reads RFQs, except what it cannot."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.cannot: str | None = None

    async def __call__(self, records: Sequence[Record], _sql: Any) -> None:
        for record in records:
            if record.entity == self.cannot:
                where = record.topic, record.part, record.offset
                raise InvalidMessage(*where, "a field is missing")
        self.seen += [r.event_id for r in records]


@contextlib.asynccontextmanager
async def running(*parts: Any) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(p.run()) for p in parts]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A data folder whose passwords are those of the test's server."""
    secrets = tmp_path / "secrets"
    secrets.mkdir(mode=0o700)
    for role, password in PASSWORDS.items():
        (secrets / f"postgres-{role}").write_text(password)
        (secrets / f"postgres-{role}").chmod(0o600)
    return tmp_path


async def audited(machine: Machine, count: int) -> list[Any]:
    async with asyncio.timeout(20):
        while True:
            async with machine.database.read("alpha") as sql:
                rows = await sql.fetch(
                    "select * from audit.audit_log where topic = $1 order by offs", LETTER_TOPIC
                )
            if len(rows) >= count:
                return rows
            await asyncio.sleep(0.02)


async def test_what_becomes_of_a_letter_is_told_and_audited(machine: Machine, home: Path) -> None:
    store = PostgresStore(machine.db.writer, machine.ring, say=letter_fact)
    reader = Reader()
    reader.cannot = "r1"
    limits = ConsumerLimits(pace_ms=1, look_s=0.05)
    consumer = Consumer(
        GROUP, "rfq", ("rfq.lifecycle",), reader, machine.bus, store, "1", limits
    )  # fmt: skip
    key = read_key(home / "secrets", may_create=True)
    assert key
    recorder = Recorder(
        bus=machine.bus, store=store, database=machine.database, clock=ManualClock(),
        config=Config(gather_ms=2, sweep_seconds=0.5), key=key,
        anchors=AnchorFile(home / "audit-anchors"),
    )  # fmt: skip
    story = [
        Said("rfq.lifecycle", 0, "alpha", "r1", "RFQSent", {"n": n}, "story-1", at=START + n)
        for n in range(2)
    ]
    async with running(consumer, recorder):
        await say(machine, *story)
        parked = await audited(machine, 2)
        assert [r["type"] for r in parked] == ["DeadLetterParked"] * 2
        # It belongs to the RFQ's story, in the RFQ's tenant.
        assert {(r["tenant"], r["correlation"]) for r in parked} == {("alpha", "story-1")}
        first = decode(bytes(parked[0]["body"]))[1]
        assert isinstance(first, DeadLetterParked)
        assert (first.consumer, first.offset, first.parked_entity) == (GROUP, 0, "r1")
        assert "a field is missing" in first.reason and first.consumer_version == "1"
        line = summary("DeadLetterParked", payload_json(bytes(parked[0]["body"])))
        assert line.startswith(f"{GROUP} set RFQSent aside: ") and "a field is missing" in line
        async with machine.database.read("beta") as sql:
            assert not await sql.fetch(
                "select 1 from audit.audit_log where topic = $1", LETTER_TOPIC
            )

        listed = await orion(machine, home, "dlq", "list")
        assert f"{GROUP}  rfq.lifecycle/0/0  alpha  r1  waiting" in listed
        assert listed.endswith("2 dead letters.")
        shown = await orion(machine, home, "dlq", "show", GROUP, "rfq.lifecycle/0/0")
        assert "DeadLetterParked dlq.changes/0/0" in shown
        states = (await orion(machine, home, "rebuild")).splitlines()
        (state,) = (line for line in states if line.startswith(GROUP))
        assert "2 records applied, 0 behind; 2 dead letters" in state
        assert {line.partition(":")[0] for line in states} >= {"rm_market_snapshot", GROUP}

        reader.cannot = None
        for expected in ("2", "0"):
            asked = await orion(machine, home, "dlq", "replay", GROUP)
            assert asked.startswith(f"{expected} dead letters")
            rows = await audited(machine, 4)
        assert [r["type"] for r in rows[2:]] == ["DeadLetterReplayed"] * 2
        last = decode(bytes(rows[3]["body"]))[1]
        assert isinstance(last, DeadLetterReplayed)
        assert last.outcome == "APPLIED" and last.by.startswith("cli:")
        assert reader.seen == [event_id("alpha", "RFQ", "r1", n) for n in (1, 2)]
        shown = await orion(machine, home, "dlq", "show", GROUP, "rfq.lifecycle/0/0")
        assert "replayed" in shown and shown.count("history") == 2
        assert await orion(machine, home, "dlq", "list") == "0 dead letters."
        assert "APPLIED" in await orion(machine, home, "dlq", "list", "--all")
    await recorder.anchor()
    report = await verify_audit(machine.database, home, home / "secrets")
    assert report.violations == [] and report.rows == 6
    await store.close()


async def orion(machine: Machine, home: Path, *words: str) -> str:
    """The command line against the test's database."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("ORION_")}
    paths = {"PYTHONPATH": str(ROOT / "src"), "COLUMNS": "200"}
    where = {"ORION_DATA_DIR": str(home), "ORION_POSTGRES_DSN": machine.db.admin}
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-P", "-m", "orion.app.cli", *words],
        env=kept | paths | where, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_letter_whose_bytes_are_no_event_has_a_story_of_its_own() -> None:
    from orion.platform.store.port import DeadLetter, LetterChange

    record = Record("rfq.lifecycle", 3, 9, START, "alpha", "r", 1, "?", "e", b"\xff not JSON")
    letter = DeadLetter("g", record, "bad \ud800 bytes", "", "1", 1, False)
    fact = letter_fact(LetterChange(letter, 1, START))
    envelope = msgspec.json.decode(fact.body)
    assert envelope["correlationId"] == fact.entity_id and envelope["tenantId"] == "alpha"
    assert fact == letter_fact(LetterChange(letter, 1, START))
