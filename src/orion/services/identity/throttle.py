"""Brute force is slowed: tries are counted before they are made, durably, by (name, address), by
name and by address.

Names that belong to nobody are counted and paused alike, so the answer tells nothing about who
exists.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from orion.platform.clock import Clock
from orion.platform.errors import Coded
from orion.services.identity import queries
from orion.services.identity.config import Config

SECOND = 1_000_000


@dataclass(frozen=True, slots=True)
class Try:
    """A try that was counted and may now be made. `left` after it, should it fail."""

    pair: bytes
    user: bytes
    address: bytes
    full: tuple[bytes, ...]  # counters that have reached their limit with this try
    left: int
    failures: int


class Throttle:
    """Counts tries to sign in."""

    def __init__(self, database: Any, clock: Clock, config: Config):
        self._database, self._clock, self._config = database, clock, config

    async def enter(self, login: str, address: str) -> Try:
        """Counts a try before it is made. Raises AUTH-106 while a pause holds."""
        limits = {
            _counter("address", address): self._config.address_failures_before_pause,
            _counter("user", login): self._config.user_failures_before_pause,
            _counter("pair", login, address): self._config.failures_before_pause,
        }
        now, window = self._clock.now(), self._config.failures_window_s * SECOND
        found: dict[bytes, int] = {}
        full: list[bytes] = []
        until = 0
        async with self._session() as sql:
            for counter, limit in limits.items():
                failures, paused = await queries.count_failure(sql, counter, now, window)
                found[counter] = failures
                until = max(until, paused)
                if failures > limit and paused <= now:
                    until = now + self._config.pause_s * SECOND
                    await queries.pause(sql, counter, until)
                elif failures == limit:
                    full.append(counter)
        if until > now:
            raise _paused(until - now)
        address_key, user_key, pair = limits
        failures = found[pair]
        left = self._config.failures_before_pause - failures
        return Try(pair, user_key, address_key, tuple(full), max(0, left), failures)

    async def failed(self, made: Try) -> None:
        """The try failed. Raises AUTH-106 when it was the last one before a pause."""
        if not made.full:
            return
        pause_us = self._config.pause_s * SECOND
        async with self._session() as sql:
            for counter in made.full:
                await queries.pause(sql, counter, self._clock.now() + pause_us)
        raise _paused(pause_us)

    async def succeeded(self, made: Try) -> None:
        """The try did not fail; earlier failures of this user from this address count no more."""
        async with self._session() as sql:
            await queries.take_back(sql, [made.address, made.user], [made.pair])

    def _session(self) -> Any:
        return self._database.write("identity", [queries.COUNTERS])


def _counter(*parts: str) -> bytes:
    return hashlib.sha256("\0".join(parts).encode()).digest()


def _paused(micros: int) -> Coded:
    seconds = -(-micros // SECOND)
    return Coded("AUTH-106", retry_after_s=seconds)
