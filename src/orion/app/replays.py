"""`orion replay` and `orion sandbox`: a range of what was said, again, where nothing real hears it.

On a cluster the records go to Kafka's sandbox topics, else into the sandbox's own log. Who did it,
and what came of it, is told in the log.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import asyncpg

from orion.app.blobs import cluster_part
from orion.app.operate import operator
from orion.app.origin import Origin
from orion.app.running import database_of
from orion.app.sources import open_source
from orion.app.verify import projections
from orion.core.ids import derived, event_id, slot_of
from orion.core.replay import ReplayEnded, ReplayStarted
from orion.platform.archive_read import ArchiveDamaged
from orion.platform.bus.kafka_settings import kafka_settings
from orion.platform.bus.topics import catalogue
from orion.platform.clock import SystemClock
from orion.platform.config import Settings
from orion.platform.datadir import StartError
from orion.platform.embedded import Access
from orion.platform.errors import Coded, InvalidMessage
from orion.platform.ids import new_token
from orion.platform.rebuild import starts
from orion.platform.sandbox import Range, Sandbox, SandboxError, TableTarget, names
from orion.wire.envelope import encode

TOPIC, ENTITY, TENANT = "operations.replays", "Replay", "shared"
WRONG = (SandboxError, ArchiveDamaged, Coded, InvalidMessage, asyncpg.PostgresError, OSError)
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Wish:
    """What to replay. `begin` and `end` are offsets or instants, in words; "" is the first kept one
    and the end as it is now; `end` is not included.
    """

    topic: str
    parts: tuple[int, ...]
    begin: str
    end: str
    origin: Origin
    sandbox: str
    limit: int

    def __str__(self) -> str:
        parts = f" partitions {', '.join(map(str, self.parts))}" if self.parts else ""
        return f"from {self.begin or 'the beginning'} to {self.end or 'the end'}{parts}"


async def replay(settings: Settings, wish: Wish, tell: Tell) -> int:
    """Delivers the range; how many records now. Raises StartError."""
    if wish.topic not in catalogue():
        raise StartError(f"There is no topic {wish.topic}. Known: {', '.join(catalogue())}.")
    async with database_of(settings) as door, AsyncExitStack() as stack:
        try:
            sandbox = await stack.enter_async_context(
                Sandbox.open(door.dsn("orion_owner"), wish.sandbox)
            )
            source = await stack.enter_async_context(open_source(settings, wish.origin, door))
            target = await stack.enter_async_context(_target(settings, sandbox))
            bounds = await _bounds(source, wish)
            asked = await sandbox.ask(wish.topic, bounds, target.kind, str(wish))
        except (SandboxError, ArchiveDamaged) as error:
            raise StartError(f"Nothing was replayed: {error}.") from error
        return await _told(
            door, wish, asked, lambda: _deliver(sandbox, asked, source, target, tell)
        )


async def _deliver(
    sandbox: Sandbox, asked: Sequence[Range], source: Any, target: Any, tell: Tell
) -> int:
    done = 0
    for one in asked:
        if one.left:
            done += (now := await sandbox.deliver(one, source, target))
            tell(f"{one.topic}/{one.part}: {now} records, {one.first} to {one.upto - 1}")
    return done


async def _told(door: Access, wish: Wish, asked: Sequence[Range], work: Any) -> int:
    """The work, with what is said of it before and after."""
    by, clock = operator(), SystemClock()
    entity = derived(slot_of(TENANT, ENTITY), "replay", wish.sandbox, new_token(16))
    begun = ReplayStarted(
        clock.now(), wish.sandbox, by, wish.origin, wish.topic, str(wish), len(asked),
        sum(one.left for one in asked),
    )  # fmt: skip
    await _say(door, entity, 1, begun)
    try:
        done = await work()
    except WRONG as error:
        why = str(error)[:500]
        ended = ReplayEnded(clock.now(), wish.sandbox, by, wish.topic, 0, "FAILED", why)
        await _say(door, entity, 2, ended)
        raise StartError(
            f"The replay stopped: {error}. The same command goes on where it stopped."
        ) from error
    ended = ReplayEnded(clock.now(), wish.sandbox, by, wish.topic, done, "DONE")
    await _say(door, entity, 2, ended)
    return done


async def _say(door: Access, entity: str, sequence: int, event: Any) -> None:
    name = event_id(TENANT, ENTITY, entity, sequence)
    body = encode(
        event, tenant=TENANT, entity_id=entity, sequence=sequence, at=event.at,
        producer="platform", correlation_id=entity, causation_id="", event_id_=name,
    )  # fmt: skip
    sql = await asyncpg.connect(door.dsn("orion_owner"))
    try:
        await sql.execute(
            "select bus.say($1, $2, $3, $4, $5, $6, $7, $8)",
            TOPIC, event.at, [TENANT], [entity], [sequence], [type(event).__name__], [name], [body],
        )  # fmt: skip
    finally:
        await sql.close()


async def _bounds(source: Any, wish: Wish) -> dict[int, tuple[int, int]]:
    """From where to where, of each partition. Raises SandboxError beyond the limit."""
    first, ends = await starts(source, wish.topic), await source.ends(wish.topic)
    unknown = [p for p in wish.parts if p not in ends]
    if unknown:
        raise SandboxError(f"{wish.topic} has no partition {', '.join(map(str, unknown))}")
    found: dict[int, tuple[int, int]] = {}
    for part in wish.parts or sorted(ends):
        begin = await _place(source, wish.topic, part, wish.begin, first[part])
        end = await _place(source, wish.topic, part, wish.end, ends[part])
        begin = max(begin, first[part])
        found[part] = (begin, max(begin, min(end, ends[part])))
    total = sum(end - begin for begin, end in found.values())
    if total > wish.limit:
        raise SandboxError(f"these are {total} records, more than the limit of {wish.limit}")
    return found


async def _place(source: Any, topic: str, part: int, words: str, default: int) -> int:
    if not words:
        return default
    if words.isdecimal():
        return int(words)
    try:
        at = datetime.fromisoformat(words)
    except ValueError:
        raise SandboxError(
            f"{words!r} is neither an offset nor a time such as 2026-02-09T12:30:00Z"
        ) from None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return await source.offset_at(topic, part, round(at.timestamp() * 1_000_000))


@asynccontextmanager
async def _target(settings: Settings, sandbox: Sandbox) -> AsyncIterator[Any]:
    if settings.is_embedded:
        yield TableTarget(sandbox)
        return
    parts = cluster_part("orion.platform.sandbox_kafka")
    kafka = kafka_settings(settings.platform)
    target = parts.KafkaTarget(kafka, sandbox.name, catalogue())
    try:
        yield _Made(settings, target)
    finally:
        await target.close()


class _Made:
    """A target on Kafka that makes its topic when it is first asked for."""

    kind = "kafka"

    def __init__(self, settings: Settings, target: Any) -> None:
        self._kafka, self._target = kafka_settings(settings.platform), target
        self._there: set[str] = set()

    async def next(self, topic: str, part: int, first: int) -> int:
        """See the port."""
        if topic not in self._there:
            spec = self._target.topics[topic]
            cluster_part("orion.app.topics").apply(self._kafka, {spec.key: spec})
            self._there.add(topic)
        return await self._target.next(topic, part, first)

    async def put(self, records: Sequence[Any]) -> None:
        """See the port."""
        await self._target.put(records)


async def apply(settings: Settings, sandbox: str, model: str) -> tuple[int, list[str]]:
    """Makes a read model of what a sandbox has: how many records it took, and its tables. Raises
    StartError.
    """
    known = {p.name: p for p in projections() if hasattr(p, "rows")}
    homes = {t: p for p in known.values() for t in p.tables} | known
    if model not in homes:
        raise StartError(f"There is no such read model. Known: {', '.join(sorted(known))}.")
    projection: Any = homes[model]
    async with _opened(settings, sandbox) as (box, ranges, stack):
        source: Any = box
        if any(r.target == "kafka" for r in ranges):
            parts = cluster_part("orion.platform.sandbox_kafka")
            source = parts.KafkaSource(kafka_settings(settings.platform), sandbox, catalogue())
            stack.push_async_callback(source.close)
        try:
            done = await box.apply(projection, source)
        except WRONG as error:
            raise StartError(f"{model} goes no further: {error}.") from error
    return done, [f"{box.schema}.{table}" for table in projection.tables]


@asynccontextmanager
async def _opened(
    settings: Settings, name: str
) -> AsyncIterator[tuple[Sandbox, list[Range], AsyncExitStack]]:
    async with database_of(settings) as door, AsyncExitStack() as stack:
        try:
            box = await stack.enter_async_context(Sandbox.open(door.dsn("orion_owner"), name))
        except SandboxError as error:
            raise StartError(f"{error}.") from error
        if not await box.exists():
            raise StartError(
                f"There is no sandbox {name}. `orion replay … --into {name}` makes it."
            )
        yield box, await box.ranges(), stack


async def listing(settings: Settings) -> Mapping[str, list[Range]]:
    """The sandboxes, and what was asked for in each."""
    found: dict[str, list[Range]] = {}
    async with database_of(settings) as door:
        for name in await names(door.dsn("orion_owner")):
            sql = await asyncpg.connect(door.dsn("orion_owner"))
            try:
                found[name] = await Sandbox(sql, name).ranges()
            finally:
                await sql.close()
    return found


async def drop(settings: Settings, name: str) -> list[str]:
    """Removes a sandbox: its topics on Kafka (which are named), then its tables. Raises
    StartError.
    """
    async with _opened(settings, name) as (box, ranges, _):
        gone: list[str] = []
        if any(r.target == "kafka" for r in ranges):
            kafka = kafka_settings(settings.platform)
            gone = cluster_part("orion.app.topics").remove_sandbox(kafka, name)
        await box.drop()
    return gone
