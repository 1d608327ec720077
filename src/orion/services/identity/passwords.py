"""Passwords by Argon2id, off the event loop, a bounded number at once: a check costs tens of
milliseconds on purpose."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from orion.platform.errors import Coded
from orion.platform.ids import new_token
from orion.services.identity.config import Config

MAX_PASSWORD = 256


class Passwords:
    """Hashes and checks. A check for a user that does not exist costs the same as one for a user
    that does."""

    def __init__(self, config: Config):
        self._hasher = PasswordHasher(
            time_cost=config.argon2_passes, memory_cost=config.argon2_memory_kib, parallelism=1
        )
        self._pool = ThreadPoolExecutor(config.password_checks, thread_name_prefix="password")
        self._room = config.password_checks + config.password_waiting
        self._inside = 0
        # Slow by design: beside the start, and done before the first check, which queues behind it.
        self._nobody = self._pool.submit(self._hasher.hash, new_token())

    async def hash(self, password: str) -> str:
        """The salted hash to store."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, self._hasher.hash, password)

    async def matches(self, stored: str | None, password: str) -> bool:
        """True when the password is the one of `stored`; None stands for nobody. Raises API-109
        when too many wait."""
        if self._inside >= self._room:
            raise Coded("API-109", "Too many sign-ins at once; try again", retry_after_s=2)
        self._inside += 1
        try:
            loop = asyncio.get_running_loop()
            fits = await loop.run_in_executor(
                self._pool, self._check, stored, password[:MAX_PASSWORD]
            )
        finally:
            self._inside -= 1
        return fits and stored is not None and len(password) <= MAX_PASSWORD

    def _check(self, stored: str | None, password: str) -> bool:
        try:
            return self._hasher.verify(stored or self._nobody.result(), password)
        except (VerificationError, InvalidHashError):
            return False

    def close(self) -> None:
        """Ends the threads."""
        self._pool.shutdown(wait=False, cancel_futures=True)
