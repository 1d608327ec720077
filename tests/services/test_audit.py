"""The audit log over a real PostgreSQL: recorded in order, never changed, and any tamper found."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from orion.platform.clock import ManualClock
from orion.services.audit import chain, queries
from orion.services.audit.config import Config
from orion.services.audit.outside import AnchorFile, read_key
from orion.services.audit.recorder import Recorder
from orion.services.audit.verify import Report, verify_audit
from tests.services.machine import START, Machine, Said, say

TAMPERS = int(os.environ.get("ORION_AUDIT_TAMPERS", "300"))
CHAINS = [("rfq.lifecycle", 0), ("rfq.lifecycle", 5), ("rfq.quotes", 0), ("identity.sessions", 0)]


def history(count: int, round_: int) -> list[Said]:
    return [
        Said(
            topic,
            part,
            "alpha" if n % 3 else "beta",
            f"e{n % 4}",
            "RFQSent",
            {"n": n, "round": round_},
            correlation=f"c{n % 4}",
            at=START + n * 1000 + round_,
        )
        for topic, part in CHAINS
        for n in range(count)
    ]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


def recorder_of(machine: Machine, data_dir: Path, **config: Any) -> Recorder:
    key = read_key(data_dir / "secrets", may_create=True)
    assert key
    return Recorder(
        bus=machine.bus,
        store=machine.store,
        database=machine.database,
        clock=ManualClock(),
        config=Config(gather_ms=2, sweep_seconds=0.5, **config),
        key=key,
        anchors=AnchorFile(data_dir / "audit-anchors"),
    )


@contextlib.asynccontextmanager
async def running(recorder: Recorder) -> AsyncIterator[None]:
    task = asyncio.create_task(recorder.run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def recorded(machine: Machine, count: int) -> None:
    async with asyncio.timeout(20):
        while True:
            async with machine.database.write("audit", []) as sql:
                if await sql.fetchval("select count(*) from audit.audit_log") >= count:
                    return
            await asyncio.sleep(0.01)


async def check(machine: Machine, data_dir: Path) -> Report:
    return await verify_audit(machine.database, data_dir, data_dir / "secrets")


@pytest.fixture(scope="module")
async def kept(machine: Machine, data_dir: Path) -> int:
    """Three rounds of history, recorded by three recorders one after another, an anchor after each
    of the first two.
    """
    total = 0
    for round_ in range(3):
        said = history(8, round_)
        recorder = recorder_of(machine, data_dir)
        await say(machine, *said)
        total += len(said)
        async with running(recorder):
            await recorded(machine, total)
        if round_ < 2:
            assert await recorder.anchor()
            assert not await recorder.anchor(), "nothing changed since"
    return total


async def test_what_is_recorded_verifies(machine: Machine, data_dir: Path, kept: int):
    report = await check(machine, data_dir)
    assert report.violations == []
    assert (report.rows, report.log_rows, report.chains, report.anchors) == (
        kept,
        kept,
        len(CHAINS),
        2,
    )


async def test_two_recorders_at_once_record_everything_once(
    machine: Machine, data_dir: Path, kept: int
):
    """Last of the writing tests: what it adds is verified by all that follow."""
    first, second = recorder_of(machine, data_dir), recorder_of(machine, data_dir)
    async with machine.database.write("audit", []) as sql:
        before = await sql.fetchval("select count(*) from audit.audit_log")
    async with running(first), running(second):
        for round_ in range(3, 6):
            await say(machine, *history(5, round_))
        await recorded(machine, before + 3 * 5 * len(CHAINS))
    report = await check(machine, data_dir)
    assert report.violations == []
    assert report.rows == before + 3 * 5 * len(CHAINS)


async def test_an_event_that_is_no_envelope_is_recorded_all_the_same(
    machine: Machine, data_dir: Path, kept: int
):
    async with machine.database.write("audit", []) as sql:
        before = await sql.fetchval("select count(*) from audit.audit_log")
    await say(machine, Said("rfq.quotes", 0, "alpha", "x", "Broken", body=b"\xff not json"))
    async with running(recorder_of(machine, data_dir)):
        await recorded(machine, before + 1)
    assert (await check(machine, data_dir)).violations == []


@pytest.mark.parametrize(
    "statement",
    [
        "update audit.audit_log set at = at + 1",
        "delete from audit.audit_log",
        "truncate audit.audit_log",
    ],
)
@pytest.mark.parametrize("role", ["writer", "owner", "admin", "reader"])
async def test_the_log_cannot_be_changed_in_the_ordinary_way(
    machine: Machine, kept: int, role: str, statement: str
):
    sql = await asyncpg.connect(getattr(machine.db, role))
    try:
        with pytest.raises(
            (asyncpg.InsufficientPrivilegeError, asyncpg.ReadOnlySQLTransactionError)
        ):
            async with sql.transaction():
                await sql.execute("select set_config('orion.tenants', '{alpha,beta}', true)")
                await sql.execute(statement)
    finally:
        await sql.close()


async def test_an_anchor_noted_before_a_crash_is_written_at_the_next_start(
    machine: Machine, data_dir: Path, kept: int
):
    recorder = recorder_of(machine, data_dir)
    async with machine.database.write("audit", []) as sql:
        recorder._heads = await queries.heads(sql)
        last = await queries.last_anchor(sql)
        assert last
        line = chain.anchor_line(
            last[0] + 1,
            1,
            chain.line_digest(last[1]),
            list(recorder._heads.values()),
            recorder._key,
        )
        await queries.add_anchor(sql, last[0] + 1, line)
    report = await check(machine, data_dir)
    assert report.violations == [] and len(report.notes) == 1
    task = asyncio.create_task(recorder.anchor_for_ever())
    file = AnchorFile(data_dir / "audit-anchors")
    async with asyncio.timeout(20):
        while True:
            async with machine.database.write("audit", []) as sql:
                newest = await queries.last_anchor(sql)
            if newest == (last[0] + 1, line, True):
                break
            await asyncio.sleep(0.01)
    assert file.lines()[-1] == line
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    report = await check(machine, data_dir)
    assert report.violations == [] and report.notes == []


# ---- tampers: by somebody who has the database and the disk, but not the key


class OneConnection:
    """The Database port over one superuser connection inside one transaction, so that a tamper can
    be looked at and undone.
    """

    def __init__(self, sql: asyncpg.Connection):
        self.sql = sql

    @contextlib.asynccontextmanager
    async def write(self, service: str, tenants: Any) -> AsyncIterator[Any]:
        yield self.sql

    read = write


AT = "where topic = $1 and part = $2 and offs = $3"


class Tamperer:
    """Changes something somewhere, chosen by a seeded generator; `what` says what."""

    def __init__(self, sql: asyncpg.Connection, file: Path, seed: int):
        self.sql, self.file, self.dice = sql, file, random.Random(seed)

    async def _row(self) -> Any:
        rows = await self.sql.fetch(
            "select topic, part, offs, body from audit.audit_log order by 1, 2, 3"
        )
        return self.dice.choice(rows)

    async def _rehash(self, topic: str, part: int) -> None:
        """Makes the hashes fit again, head included: everything but the signature."""
        head = chain.genesis(topic, part)
        columns = ", ".join(chain.FIELDS)
        rows = await self.sql.fetch(
            f"select {columns} from audit.audit_log where topic = $1 and part = $2 order by offs",
            topic,
            part,
        )
        last = head.hash
        for r in rows:
            last = chain.row_hash(last, chain.Row(**dict(r)))
            await self.sql.execute(
                "update audit.audit_log set hash = $4 where topic = $1 and part = $2 and offs = $3",
                topic,
                part,
                r["offs"],
                last,
            )
        await self.sql.execute(
            "update audit.chain_head set hash = $3, next = $4 where topic = $1 and part = $2",
            topic,
            part,
            last,
            len(rows),
        )

    async def change(self) -> None:
        r = await self._row()
        column = self.dice.choice([c for c in chain.FIELDS if c not in ("topic", "part", "offs")])
        to = {"at": "at + 1", "seq": "seq + 1", "body": "body || ' '::bytea"}.get(
            column, f"{column} || 'x'"
        )
        await self.sql.execute(
            f"update audit.audit_log set {column} = {to} {AT}",
            *r[:3],
        )

    async def change_and_rehash(self) -> None:
        r = await self._row()
        await self.sql.execute(
            f"update audit.audit_log set body = body || ' '::bytea {AT}",
            *r[:3],
        )
        await self._rehash(r["topic"], r["part"])

    async def change_log_too_and_rehash(self) -> None:
        r = await self._row()
        for table in ("audit.audit_log", "bus.log"):
            await self.sql.execute(
                f"update {table} set body = body || ' '::bytea {AT}",
                *r[:3],
            )
        await self._rehash(r["topic"], r["part"])

    async def remove(self) -> None:
        r = await self._row()
        await self.sql.execute(
            "delete from audit.audit_log where topic = $1 and part = $2 and offs = $3", *r[:3]
        )

    async def remove_close_up_and_rehash(self) -> None:
        r = await self._row()
        await self.remove_at(*r[:3])
        await self._rehash(r["topic"], r["part"])

    async def remove_at(self, topic: str, part: int, offset: int) -> None:
        for table in ("audit.audit_log", "bus.log"):
            await self.sql.execute(
                f"delete from {table} where topic = $1 and part = $2 and offs = $3",
                topic,
                part,
                offset,
            )
            # In two steps: no two rows may have one offset at any moment.
            await self.sql.execute(
                f"update {table} set offs = -offs where topic = $1 and part = $2 and offs > $3",
                topic,
                part,
                offset,
            )
            await self.sql.execute(
                f"update {table} set offs = -offs - 1 where topic = $1 and part = $2 and offs < 0",
                topic,
                part,
            )
        await self.sql.execute(
            "update bus.head set next = next - 1 where topic = $1 and part = $2", topic, part
        )

    async def truncate(self) -> None:
        r = await self._row()
        await self.sql.execute(
            "delete from audit.audit_log where topic = $1 and part = $2 and offs >= $3", *r[:3]
        )

    async def truncate_and_rehash(self) -> None:
        r = await self._row()
        for table in ("audit.audit_log", "bus.log"):
            await self.sql.execute(
                f"delete from {table} where topic = $1 and part = $2 and offs >= $3", *r[:3]
            )
        await self.sql.execute(
            "update bus.head set next = $3 where topic = $1 and part = $2", *r[:3]
        )
        await self._rehash(r["topic"], r["part"])

    async def back_to_an_anchored_head(self) -> None:
        """An older head, truly signed by us, put back with everything after it removed, log
        included.
        """
        first, last = (
            json.loads(x)
            for x in (self.file.read_text().splitlines()[0], self.file.read_text().splitlines()[-1])
        )
        topic, part, upto, digest, signature = self.dice.choice(first["heads"])
        assert any(h[0] == topic and h[1] == part and h[2] > upto for h in last["heads"])
        for table in ("audit.audit_log", "bus.log"):
            await self.sql.execute(
                f"delete from {table} where topic = $1 and part = $2 and offs >= $3",
                topic,
                part,
                upto,
            )
        await self.sql.execute(
            "update bus.head set next = $3 where topic = $1 and part = $2", topic, part, upto
        )
        await self.sql.execute(
            "update audit.chain_head set next = $3, hash = $4, signature = $5"
            " where topic = $1 and part = $2",
            topic,
            part,
            upto,
            bytes.fromhex(digest),
            bytes.fromhex(signature),
        )

    async def swap(self) -> None:
        r = await self._row()
        other = r["offs"] - 1 if r["offs"] else 1
        for table in self.dice.choice(
            [("audit.audit_log",), ("audit.audit_log", "bus.log"), ("bus.log",)]
        ):
            await self.sql.execute(
                f"update {table} set offs = -1 where topic = $1 and part = $2 and offs = $3", *r[:3]
            )
            await self.sql.execute(
                f"update {table} set offs = $3 where topic = $1 and part = $2 and offs = $4",
                *r[:3],
                other,
            )
            await self.sql.execute(
                f"update {table} set offs = $3 where topic = $1 and part = $2 and offs = -1",
                *r[:2],
                other,
            )
        if self.dice.random() < 0.5:
            await self._rehash(r["topic"], r["part"])

    async def add(self) -> None:
        r = await self._row()
        await self.sql.execute(
            """insert into audit.audit_log select tenant, topic, part, (select max(offs) + 1
               from audit.audit_log where topic = $1 and part = $2), at, entity_type, entity, seq,
               type, event_id, service, correlation, body, hash
               from audit.audit_log where topic = $1 and part = $2 and offs = $3""",
            *r[:3],
        )
        if self.dice.random() < 0.5:
            await self._rehash(r["topic"], r["part"])

    async def forge_head(self) -> None:
        r = await self._row()
        to = self.dice.choice(
            [
                "signature = sha256(signature)",
                "hash = sha256(hash)",
                "next = next - 1",
                "next = next + 1",
            ]
        )
        await self.sql.execute(
            f"update audit.chain_head set {to} where topic = $1 and part = $2", *r[:2]
        )

    async def remove_head(self) -> None:
        r = await self._row()
        await self.sql.execute(
            "delete from audit.chain_head where topic = $1 and part = $2", *r[:2]
        )

    async def remove_chain(self) -> None:
        """A whole chain, head and rows and log, as if nothing had ever happened there."""
        r = await self._row()
        for table in ("audit.audit_log", "audit.chain_head", "bus.log", "bus.head"):
            await self.sql.execute(f"delete from {table} where topic = $1 and part = $2", *r[:2])

    async def change_log(self) -> None:
        r = await self._row()
        to = self.dice.choice(
            [
                "body = body || ' '::bytea",
                "at = at + 1",
                "tenant = tenant || 'x'",
                "event_id = event_id || 'x'",
            ]
        )
        await self.sql.execute(
            f"update bus.log set {to} where topic = $1 and part = $2 and offs = $3", *r[:3]
        )

    async def remove_from_log(self) -> None:
        r = await self.sql.fetch(
            """select topic, part, offs from bus.log l where exists
               (select from bus.log f where f.topic = l.topic and f.part = l.part
               and f.offs < l.offs) order by 1, 2, 3"""
        )
        await self.sql.execute(
            "delete from bus.log where topic = $1 and part = $2 and offs = $3", *self.dice.choice(r)
        )

    async def anchors_in_the_file(self) -> None:
        lines = self.file.read_text().splitlines()
        at = self.dice.randrange(len(lines))
        match self.dice.randrange(5):
            case 0:
                del lines[at]
            case 1:
                lines[at] = lines[at].replace('"seq"', '"sea"', 1)
            case 2:
                lines.append(lines[at])
            case 3:
                lines.reverse()
            case _:
                lines = []
        self.file.write_text("".join(f"{x}\n" for x in lines))

    async def anchors_in_the_database(self) -> None:
        rows = await self.sql.fetch("select seq from audit.anchors")
        seq = self.dice.choice(rows)["seq"]
        if self.dice.random() < 0.5:
            await self.sql.execute("delete from audit.anchors where seq = $1", seq)
        else:
            await self.sql.execute(
                "update audit.anchors set line = replace(line, ':1', ':2') where seq = $1", seq
            )


KINDS = [name for name in vars(Tamperer) if not name.startswith("_") and name != "remove_at"]


async def test_every_tamper_is_found(machine: Machine, data_dir: Path, kept: int):
    file = data_dir / "audit-anchors" / "anchors.jsonl"
    clean = file.read_text()
    assert len(clean.splitlines()) >= 2
    sql = await asyncpg.connect(machine.db.admin)
    found: Counter[str] = Counter()
    try:
        # Triggers off: the tamperer is the machine's own superuser.
        await sql.execute("set session_replication_role = replica")
        assert (await verify_audit(OneConnection(sql), data_dir, data_dir / "secrets")).is_clean  # type: ignore[arg-type]
        for seed in range(TAMPERS):
            kind = KINDS[seed % len(KINDS)]
            undo = sql.transaction()
            await undo.start()
            await getattr(Tamperer(sql, file, seed), kind)()
            report = await verify_audit(OneConnection(sql), data_dir, data_dir / "secrets")  # type: ignore[arg-type]
            await undo.rollback()
            file.write_text(clean)
            assert not report.is_clean, f"seed {seed}: {kind} went unseen"
            found[kind] += 1
        assert (await verify_audit(OneConnection(sql), data_dir, data_dir / "secrets")).is_clean  # type: ignore[arg-type]
    finally:
        file.write_text(clean)
        await sql.close()
    assert found.total() == TAMPERS and len(found) == len(KINDS)


async def test_a_lost_key_is_found(machine: Machine, data_dir: Path, kept: int):
    report = await verify_audit(machine.database, data_dir, data_dir / "elsewhere")
    assert report.violations == ["the audit key is gone: nothing can be verified without it"]
    read_key(data_dir / "another", may_create=True)
    assert not (await verify_audit(machine.database, data_dir, data_dir / "another")).is_clean
