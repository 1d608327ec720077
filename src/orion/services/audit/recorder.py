"""The recorder: takes every event of its topics in offset order and adds it to the chain, position
and effect in one transaction.
"""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import Callable, Sequence
from contextlib import suppress

import msgspec

from orion.platform import telemetry
from orion.platform.bus.port import Bus, Record
from orion.platform.clock import Clock
from orion.platform.errors import CONTRACTS, Unavailable
from orion.platform.store.port import Advance, CheckpointMoved, Database, OutcomeUnknown, Store
from orion.services.audit import queries
from orion.services.audit.chain import (
    Head,
    Row,
    anchor_line,
    extended,
    genesis,
    line_digest,
    signed,
)
from orion.services.audit.config import Config
from orion.services.audit.outside import AnchorFile
from orion.wire.envelope import Envelope, InvalidEvent, decode_envelope

CONSUMER = "audit"
AGAIN_S = 0.25
MS_PER_RECORD, LONGEST_MS = 1.0, 250
_RECORDED = telemetry.counter("audit_recorded", "Events added to the audit log", ("topic",))
_BEHIND = telemetry.gauge("audit_behind", "Events on the bus that the audit log does not have yet")
_ANCHORED = telemetry.counter("audit_anchors", "Anchors written outside the database")


class _Entity(msgspec.Struct, rename="camel"):
    entity_type: str = ""


class _Envelope(msgspec.Struct, rename="camel"):
    producer: str = ""
    correlation_id: str = ""
    entity: _Entity = msgspec.field(default_factory=_Entity)


_DECODER = msgspec.json.Decoder(_Envelope)


def topics() -> list[tuple[str, int]]:
    """(topic, partitions) of everything that is audited."""
    catalogue = tomllib.loads((CONTRACTS / "topics.toml").read_text())
    usual = catalogue["defaults"]["partitions"]
    return [
        (t, row.get("partitions", usual))
        for t, row in catalogue["topics"].items()
        if CONSUMER in row["consumers"]
    ]


def row_of(record: Record) -> Row:
    """The audit row of an event. What cannot be read as an envelope is recorded all the same, bytes
    and all.
    """
    envelope = _envelope_of(record.body)
    return Row(
        record.topic, record.part, record.offset, record.at, record.tenant,
        envelope.entity.entity_type, record.entity, record.seq, record.type, record.event_id,
        envelope.producer, envelope.correlation_id, record.body,
    )  # fmt: skip


def _envelope_of(body: bytes) -> Envelope | _Envelope:
    try:
        return decode_envelope(body)  # mostly known already: somebody here has read or written it
    except InvalidEvent:
        pass
    try:
        return _DECODER.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _Envelope()


class Recorder:
    """One writer of all chains. A second copy of the service is told so by the checkpoint and reads
    its position again.
    """

    def __init__(
        self,
        *,
        bus: Bus,
        store: Store,
        database: Database,
        clock: Clock,
        config: Config,
        key: bytes,
        anchors: AnchorFile,
        may_anchor: Callable[[], bool] = lambda: True,
    ):
        self._may_anchor = may_anchor
        self._bus, self._store, self._database = bus, store, database
        self._clock, self._config, self._key, self._anchors = clock, config, key, anchors
        self._heads: dict[tuple[str, int], Head] = {}
        self._anchored: dict[tuple[str, int], int] = {}
        self.is_ready = False

    async def run(self) -> None:
        """Records for ever."""
        await self._load()
        swept = began = 0.0
        taken = 0
        loop = asyncio.get_running_loop()
        while True:
            # At once after a pause; what comes thick and fast is written together.
            if (pause := began + self._gathering_s(taken) - loop.time()) > 0:
                await asyncio.sleep(pause)
            began, taken = loop.time(), 0
            is_sweep = began - swept >= self._config.sweep_seconds
            swept = began if is_sweep else swept
            try:
                found = await self._gather(is_sweep=is_sweep)
                if found:
                    taken = sum(map(len, found))
                    await self._record(found)
                    continue
            except Unavailable as away:
                telemetry.log.warning("audit waits for the database", error=str(away))
                await asyncio.sleep(AGAIN_S)
                swept = 0.0
                continue
            self.is_ready = True
            left = swept + self._config.sweep_seconds - loop.time()
            await self._bus.wait_any(self._positions(), max(left, 0))

    def _gathering_s(self, last: int) -> float:
        """A little longer after many: fewer, fuller writes while there is much to record."""
        longest_ms = max(self._config.gather_ms, LONGEST_MS)
        return min(self._config.gather_ms + last * MS_PER_RECORD, longest_ms) / 1000

    def _positions(self) -> dict[tuple[str, int], int]:
        return {chain: head.next for chain, head in self._heads.items()}

    async def _load(self) -> None:
        while True:
            try:
                async with self._database.write("audit", []) as sql:
                    known = await queries.heads(sql)
                break
            except Unavailable:
                await asyncio.sleep(AGAIN_S)
        self._heads = {
            (topic, part): known.get((topic, part)) or genesis(topic, part)
            for topic, parts in topics()
            for part in range(parts)
        }

    async def _gather(self, *, is_sweep: bool) -> list[Sequence[Record]]:
        found = []
        positions = self._positions()
        # The sweep finds what a lost hint would hide.
        for topic, part in positions if is_sweep else self._bus.behind(positions):
            at = positions[topic, part]
            records = await self._bus.read(topic, part, at, self._config.batch)
            if records:
                found.append(records)
        _BEHIND.set(sum(len(r) for r in found))
        return found

    async def _record(self, found: Sequence[Sequence[Record]]) -> None:
        rows: list[Row] = []
        hashes: list[bytes] = []
        moved: list[Head] = []
        for records in found:
            mine = [row_of(r) for r in records]
            head, more = extended(self._heads[mine[0].topic, mine[0].part], mine)
            moved.append(signed(head, self._key))
            rows += mine
            hashes += more
        advances = [
            Advance(CONSUMER, h.topic, h.part, self._heads[h.chain].next, h.next) for h in moved
        ]
        tenants = sorted({r.tenant for r in rows})
        try:
            async with self._store.effect("audit", tenants, advances) as sql:
                heads = [(self._heads[h.chain].next, h) for h in moved]
                await queries.append(sql, rows, hashes, heads)
        except (CheckpointMoved, OutcomeUnknown):
            await self._load()
            return
        for head in moved:
            _RECORDED.labels(head.topic).inc(head.next - self._heads[head.chain].next)
            self._heads[head.chain] = head

    async def anchor_for_ever(self) -> None:
        """Anchors each minute, and once more when told to stop."""
        await self._mend()
        try:
            while True:
                await asyncio.sleep(self._config.anchor_seconds)
                with suppress(Unavailable):
                    await self.anchor()
        finally:
            # Cancelled at stop: the last minute is anchored too, if the database still answers.
            with suppress(Unavailable, TimeoutError, OSError):
                async with asyncio.timeout(2):
                    await self.anchor()

    async def anchor(self) -> bool:
        """Writes the heads that changed, first noted inside, then outside, then confirmed. False:
        nothing changed.
        """
        if not self._may_anchor():
            return False
        changed = [
            h for h in self._heads.values() if h.next and self._anchored.get(h.chain) != h.next
        ]
        if not changed:
            return False
        async with self._database.write("audit", []) as sql:
            last = await queries.last_anchor(sql)
            seq = last[0] + 1 if last else 1
            previous = line_digest(last[1]) if last else ""
            line = anchor_line(seq, self._clock.now(), previous, changed, self._key)
            if not await queries.add_anchor(sql, seq, line):
                return False  # another copy anchors now
        await asyncio.to_thread(self._anchors.append, line)
        async with self._database.write("audit", []) as sql:
            await queries.confirm_anchor(sql, seq)
        self._anchored.update({h.chain: h.next for h in changed})
        _ANCHORED.inc()
        return True

    async def _mend(self) -> None:
        """A crash between noting an anchor and writing it outside leaves one line to be written."""
        while True:
            try:
                async with self._database.write("audit", []) as sql:
                    last = await queries.last_anchor(sql)
                break
            except Unavailable:
                await asyncio.sleep(AGAIN_S)
        if last is None or last[2]:
            return
        if last[1] not in self._anchors.lines()[-1:]:
            await asyncio.to_thread(self._anchors.append, last[1])
        async with self._database.write("audit", []) as sql:
            await queries.confirm_anchor(sql, last[0])
