"""Dead letters for operators: list, show, ask for a replay. The consumer replays, in order."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from orion.platform.store.port import DeadLetter, Store


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
    by: str = "",
) -> Sequence[DeadLetter]:
    """Asks the consumer to process these letters again, whole entities at a time. Returns what was
    asked for. Idempotent: what was asked for already, or is processed, is not asked for again.
    """
    letters = [
        x
        for x in await store.letters(
            consumer=consumer, tenant=tenant, status="waiting", limit=100_000
        )
        if entity in (None, x.record.entity)
    ]
    if letters:
        await store.request_replay(letters, by)
    return letters
