"""Dead letters for operators: list, show, ask for a replay. The consumer replays, in order.

Who runs the platform need not see what is traded: what is shown of a record keeps its form and
hides its values, unless they are asked for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from orion.platform.store.port import DeadLetter, Store

Place = tuple[str, int, int]  # topic, partition, offset
HIDDEN = "***"
SHORTEST = 3  # shorter values say nothing by themselves, and stand in other words
# Of an envelope: what names the event and says nothing of what happened.
_NAMES = frozenset(
    (
        *("eventId", "eventType", "eventVersion", "occurredAt", "producer", "tenantId"),
        *("correlationId", "causationId", "entity"),
    )
)


async def list_letters(
    store: Store,
    *,
    consumer: str | None = None,
    tenant: str | None = None,
    is_open: bool = True,
    limit: int = 100,
) -> list[DeadLetter]:
    """Dead letters in log order; only those not replayed yet unless told otherwise."""
    letters = await store.letters(consumer=consumer, tenant=tenant, limit=100_000)
    return [x for x in letters if not is_open or x.status != "replayed"][:limit]


async def show_letter(
    store: Store, consumer: str, topic: str, part: int, offset: int
) -> DeadLetter | None:
    """One letter, or None."""
    for letter in await store.letters(consumer=consumer, limit=100_000):
        r = letter.record
        if (r.topic, r.part, r.offset) == (topic, part, offset):
            return letter
    return None


async def history(store: Store, letter: DeadLetter) -> list[str]:
    """What the log says of a letter, a line for each event."""
    return [
        f"{datetime.fromtimestamp(r.at / 1e6, UTC):%Y-%m-%d %H:%M:%S} {r.type}"
        f" {r.topic}/{r.part}/{r.offset} {r.body.decode(errors='replace')}"
        for r in await store.told(letter)
    ]


async def replay_letters(
    store: Store,
    *,
    consumer: str,
    tenant: str | None = None,
    entity: str | None = None,
    at: Collection[Place] = (),
    by: str = "",
) -> Sequence[DeadLetter]:
    """Asks the consumer to process these letters again, whole entities at a time; with `at` those
    at these places, and what waits before them of their entities, which they must not overtake.
    Returns what was asked for. Idempotent: what was asked for already, or is processed, is not
    asked for again.
    """
    letters = [
        x
        for x in await store.letters(
            consumer=consumer, tenant=tenant, status="waiting", limit=100_000
        )
        if entity in (None, x.record.entity)
    ]
    if at:
        letters = _up_to(letters, at)
    if letters:
        await store.request_replay(letters, by)
    return letters


def described(letter: DeadLetter, history: Sequence[str], *, reveal: bool) -> list[str]:
    """A letter in lines for people; without `reveal` the record's values are hidden."""
    r = letter.record
    lines = [
        f"consumer  {letter.consumer} (version {letter.version})",
        f"record    {r.topic}/{r.part}/{r.offset} {r.type} {r.event_id}, sequence {r.seq} of"
        f" {r.entity}, tenant {r.tenant}, {datetime.fromtimestamp(r.at / 1e6, UTC):%F %T}",
        f"body      {r.body if reveal else redacted(r.body)}",
        f"status    {letter.status}, {letter.attempts} attempts, parked: {letter.parked}",
        f"error     {letter.error}",
        letter.trace,
        *(f"history   {line}" for line in history),
    ]
    return (
        lines if reveal else [lines[0], lines[1], lines[2], *(masked(x, r.body) for x in lines[3:])]
    )


def _up_to(letters: Sequence[DeadLetter], at: Collection[Place]) -> list[DeadLetter]:
    last: dict[tuple[str, str, str], int] = {}
    for x in letters:
        r = x.record
        if (r.topic, r.part, r.offset) in at:
            name = (r.topic, r.tenant, r.entity)
            last[name] = max(last.get(name, -1), r.offset)
    return [
        x
        for x in letters
        if x.record.offset <= last.get((x.record.topic, x.record.tenant, x.record.entity), -1)
    ]


def redacted(body: bytes) -> str:
    """The record's form: names, and what kind of value stands where. Of what is no JSON only how
    long it is, and its checksum.
    """
    document = _parsed(body)
    if document is None:
        return (
            f"{len(body)} bytes that are no JSON object, SHA-256 {hashlib.sha256(body).hexdigest()}"
        )
    shown = {key: value if key in _NAMES else _hidden(value) for key, value in document.items()}
    return msgspec.json.encode(shown).decode()


def masked(text: str, body: bytes) -> str:
    """The text without the values of the record, which errors like to quote."""
    document = _parsed(body)
    if document is None:
        found = {body.decode(errors="replace")}
    else:
        found = {v for k, x in document.items() if k not in _NAMES for v in _values(x)}
    for value in sorted(found, key=len, reverse=True):
        if len(value) >= SHORTEST:
            text = text.replace(value, HIDDEN)
    return text


def _parsed(body: bytes) -> dict[str, Any] | None:
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None


def _hidden(value: Any) -> Any:
    match value:
        case dict():
            return {key: _hidden(inner) for key, inner in value.items()}
        case list():
            return [_hidden(inner) for inner in value]
        case bool() | None:
            return value
        case _:
            return HIDDEN


def _values(value: Any) -> Iterator[str]:
    match value:
        case dict():
            for inner in value.values():
                yield from _values(inner)
        case list():
            for inner in value:
                yield from _values(inner)
        case bool() | None:
            return
        case _:
            yield str(value)
