"""What must hold of browser sessions with two copies of the workstation's door and a cache that
they share: the test case that each cache runs.

A cache gives a fixture `stack` (two doors, each with a `Cut` cache) and a function `held`, every
byte that lies in the cache.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from orion.app.revocations import follower
from orion.platform.auth import ServiceTokens, StaticKeys, Verifier
from orion.platform.cache.aside import _ANSWERS, _name
from orion.platform.cache.port import Cache
from orion.platform.errors import Coded, Unavailable
from orion.platform.rpc import Directory
from orion.services.bff_workstation.sessions import fingerprint
from orion.services.bff_workstation.sessions_store import Session
from tests.services.identity_stack import MINUTE, PUBLIC, Browser, Stack, until

SPACE = "bff.sessions"
SECOND = 1_000_000
Held = Callable[[], Awaitable[list[bytes]]]


class Cut:
    """One process's way to a cache, which can be cut. The cache itself keeps its memory."""

    is_shared = True

    def __init__(self, cache: Cache):
        self._cache, self.is_cut = cache, False
        self.answers = asyncio.Event()  # cleared: it has read, and takes its time to say so
        self.answers.set()
        self.has_read = asyncio.Event()

    async def noted(self, space: str, keys: Sequence[str]) -> dict[str, bytes]:
        """As the port says."""
        self._look()
        found = await self._cache.noted(space, keys)
        self.has_read.set()
        await self.answers.wait()
        return found

    async def note(
        self, space: str, values: Mapping[str, bytes], seconds: float, *, is_first: bool = False
    ) -> None:
        """As the port says."""
        self._look()
        await self._cache.note(space, values, seconds, is_first=is_first)

    async def put(self, space: str, values: Mapping[str, bytes]) -> None:
        """As the port says."""
        self._look()
        await self._cache.put(space, values)

    async def get(self, space: str, keys: Sequence[str]) -> dict[str, bytes]:
        """As the port says."""
        self._look()
        return await self._cache.get(space, keys)

    async def all(self, space: str) -> dict[str, bytes]:
        """As the port says."""
        self._look()
        return await self._cache.all(space)

    async def remove(self, space: str, keys: Sequence[str]) -> None:
        """As the port says."""
        self._look()
        await self._cache.remove(space, keys)

    def _look(self) -> None:
        if self.is_cut:
            raise Unavailable("The cache does not answer")


def found_in_cache() -> float:
    """Sessions that were taken from the cache so far."""
    return _ANSWERS.labels(SPACE, "cache")._value.get()


async def status(browser: Browser, copy: int) -> int:
    browser.copy = copy
    return (await browser.send("GET", "/auth/probe")).status_code


def forget(stack: Stack, copy: int) -> None:
    """As after a restart: this door remembers nobody."""
    stack.copies[copy].sessions._kept.clear()


async def known(stack: Stack) -> None:
    """Until both doors know what has ended, so that they trust what they remember."""
    for parts in stack.copies:
        ended = parts.sessions._ended
        assert ended is not None
        await until(lambda watch=ended: watch.may_trust(b"nobody"))


async def told(stack: Stack, session: Session) -> None:
    """Until both doors know that it ended: for less than a second an old memory counts."""
    for parts in stack.copies:
        ended = parts.sessions._ended
        assert ended is not None
        await until(lambda watch=ended: not watch.may_trust(session.cookie_hash))


async def row_of(stack: Stack, browser: Browser) -> Session:
    assert browser.session
    found = await stack.copies[0].sessions._open_session(browser.session)
    assert found is not None
    return found


async def end(stack: Stack, session: Session) -> None:
    """Ends it in its row alone, so that nothing but the row tells: no revocation helps."""
    store = stack.copies[0].sessions._store
    assert await store.end(session, "LOGOUT", stack.clock.now())


class SessionsCase:
    """Inherit, with `stack`, `caches` and `held` fixtures."""

    @pytest.fixture
    async def browser(self, stack: Stack, caches: list[Cut]) -> Browser:
        """Signed in, and known to both doors and the cache."""
        browser = stack.browser()
        await browser.sign_in()
        for one in caches:
            one.is_cut = False
        await known(stack)
        assert await status(browser, 0) == 200
        return browser

    async def test_a_second_door_takes_it_from_the_cache(
        self, stack: Stack, browser: Browser, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def never(*_: object) -> None:
            raise AssertionError("the row was asked")

        monkeypatch.setattr(stack.copies[1].sessions._store, "find", never)
        before = found_in_cache()
        assert await status(browser, 1) == 200
        assert found_in_cache() == before + 1
        assert await status(browser, 1) == 200
        assert found_in_cache() == before + 1, "remembered for a moment"

    async def test_an_end_while_the_cache_takes_its_time(
        self, stack: Stack, browser: Browser, caches: list[Cut]
    ) -> None:
        session = await row_of(stack, browser)
        ended = stack.copies[1].sessions._ended
        assert ended is not None
        caches[1].answers.clear()
        caches[1].has_read.clear()
        asked = asyncio.create_task(status(browser, 1))
        await caches[1].has_read.wait()
        await end(stack, session)
        await until(lambda: not ended.may_trust(session.cookie_hash))
        caches[1].answers.set()
        assert await asked == 401

    async def test_nothing_of_it_can_be_read_in_the_cache(
        self, stack: Stack, browser: Browser, held: Held
    ) -> None:
        session = await row_of(stack, browser)
        everything = b"\n".join(await held())
        assert everything
        tokens = session.tokens
        for secret in (tokens.access, tokens.refresh, tokens.identity, session.user_name,
                       session.session_id, session.subject, browser.session or ""):  # fmt: skip
            assert secret and secret.encode() not in everything
        assert session.cookie_hash not in everything
        assert session.cookie_hash.hex().encode() not in everything

    async def test_an_end_is_known_everywhere_although_the_cache_was_cut(
        self, stack: Stack, browser: Browser, caches: list[Cut]
    ) -> None:
        assert await status(browser, 1) == 200
        session = await row_of(stack, browser)
        caches[0].is_cut = True  # the mark of the change cannot be left
        await end(stack, session)
        for copy in (1, 0):  # each looks for itself
            async for _ in _tries():
                if await status(browser, copy) == 401:
                    break
        for copy in (0, 1):
            forget(stack, copy)
            assert await status(browser, copy) == 401

    async def test_an_old_memory_of_the_cache_brings_no_session_back(
        self, stack: Stack, browser: Browser, caches: list[Cut]
    ) -> None:
        name = next(iter(await self._note(stack, browser, caches)))
        old = (await caches[0].noted(SPACE, [name]))[name]
        session = await row_of(stack, browser)
        await end(stack, session)
        forget(stack, 1)
        assert await status(browser, 1) == 401, "a mark in the cache sends everyone to the row"
        await known(stack)
        ended = stack.copies[1].sessions._ended
        assert ended is not None
        await until(lambda: not ended.may_trust(session.cookie_hash))
        await caches[0].note(SPACE, {name: old}, 600)
        assert await status(browser, 1) == 401
        # Nor later, when the end is long past: what was read so long ago does not count.
        async with stack.ports.database.write("bff_workstation", ["alpha"]) as sql:
            await sql.execute(
                "update bff_workstation.sessions set told_at = told_at - interval '1 hour'"
            )
        stack.clock.advance(11 * SECOND)
        await until(lambda: ended.may_trust(session.cookie_hash))
        await caches[0].note(SPACE, {name: old}, 600)
        assert await status(browser, 1) == 401

    async def test_what_is_not_ours_in_the_cache_is_passed_over(
        self, stack: Stack, browser: Browser, caches: list[Cut]
    ) -> None:
        other = stack.browser()
        await other.sign_in("trader2@alpha")
        await known(stack)
        assert await status(other, 0) == 200
        mine, theirs = [await self._note(stack, one, caches) for one in (browser, other)]
        for planted in (next(iter(theirs.values())), b"x", b"\0" * 200):
            await caches[0].note(SPACE, dict.fromkeys(mine, planted), 600)
            forget(stack, 1)
            browser.copy = 1
            answer = await browser.send("GET", "/auth/probe")
            assert answer.json()["user"] == "trader@alpha"

    async def test_without_the_cache_everything_goes_on(
        self, stack: Stack, browser: Browser, caches: list[Cut]
    ) -> None:
        for one in caches:
            one.is_cut = True
        forget(stack, 0)
        for copy in (0, 1):
            assert await status(browser, copy) == 200
        stack.clock.advance(5 * MINUTE)  # the tokens are renewed without it
        for copy in (0, 1):
            assert await status(browser, copy) == 200
        await end(stack, await row_of(stack, browser))
        for copy in (0, 1):
            forget(stack, copy)
            assert await status(browser, copy) == 401
        for one in caches:
            one.is_cut = False
        for copy in (0, 1):
            assert await status(browser, copy) == 401

    async def test_a_renewal_of_one_door_is_the_others_too(
        self, stack: Stack, browser: Browser
    ) -> None:
        assert await status(browser, 1) == 200
        stack.clock.advance(4 * MINUTE + 30 * SECOND)
        await known(stack)
        tokens = set()
        for copy in (0, 1, 0, 1):
            browser.copy = copy
            tokens.add((await browser.send("GET", "/auth/probe")).json()["token"])
        assert len(tokens) == 1
        assert (await row_of(stack, browser)).tokens_version == 2

    async def test_use_at_one_door_keeps_it_alive_at_the_other(
        self, stack: Stack, browser: Browser
    ) -> None:
        """What a door remembers, or finds in the cache, ends no session: the row may know more."""
        assert await status(browser, 1) == 200
        kept = stack.copies[1].sessions._kept[fingerprint(browser.session or "")]
        stack.clock.advance(59 * MINUTE)
        assert await status(browser, 0) == 200
        stack.clock.advance(2 * MINUTE)
        await known(stack)
        kept.seen_at = stack.clock.now()  # as if it had been looked at just now, in an old cache
        stack.copies[1].sessions._kept[kept.session.cookie_hash] = kept
        assert await status(browser, 1) == 200

    # -- what is revoked

    async def test_who_does_not_reach_identity_reads_what_is_revoked_in_the_cache(
        self, stack: Stack, browser: Browser, caches: list[Cut], tmp_path: Path
    ) -> None:
        browser.copy = 0
        held = (await browser.send("GET", "/auth/probe")).json()["token"]
        async with lonely(stack, caches[1], tmp_path) as verifier:
            assert (await verifier.verify(held)).user == "trader@alpha"
            assert not verifier.revocations.is_connected
            await browser.send("POST", "/auth/logout", headers={"origin": PUBLIC})
            async for _ in _tries():
                try:
                    await verifier.verify(held)
                except Coded as refusal:
                    assert refusal.code == "AUTH-105"
                    break
        async with lonely(stack, caches[1], tmp_path) as verifier:  # it starts, and knows at once
            with pytest.raises(Coded, match="AUTH-105"):
                await verifier.verify(held)

    async def test_who_reaches_neither_takes_no_users_token(
        self, stack: Stack, browser: Browser, caches: list[Cut], tmp_path: Path
    ) -> None:
        browser.copy = 0
        held = (await browser.send("GET", "/auth/probe")).json()["token"]
        caches[1].is_cut = True
        async with lonely(stack, caches[1], tmp_path) as verifier:
            with pytest.raises(Unavailable):
                await verifier.verify(held)
            service = ServiceTokens(stack.service_key(), "rfq", stack.clock)()
            assert (await verifier.verify(service)).service == "rfq"

    async def _note(self, stack: Stack, browser: Browser, caches: list[Cut]) -> dict[str, bytes]:
        name = _name((await row_of(stack, browser)).cookie_hash.hex())
        found = await caches[0].noted(SPACE, [name])
        assert found[name]
        return found


@asynccontextmanager
async def lonely(stack: Stack, cache: Cut, folder: Path) -> AsyncIterator[Verifier]:
    """The verifier of a process that has just started and does not reach identity."""
    tokens = ServiceTokens(stack.service_key(), "lonely", stack.clock)
    directory = Directory({"identity": f"unix:{folder}/nobody.sock"}, tokens)
    verifier = Verifier(
        StaticKeys({"keys": [stack.identity_key().as_dict(private=False)]}),
        issuer=stack.verifier.issuer,
        clock=stack.clock,
        service_key=stack.service_key(),
    )
    verifier.revocations.await_first()
    told = follower(directory, verifier.revocations, stack.clock, cache)  # type: ignore[arg-type]
    task = asyncio.create_task(told())  # type: ignore[arg-type]
    try:
        yield verifier
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await directory.close()


async def _tries() -> AsyncIterator[None]:
    """Bounded polling."""
    async with asyncio.timeout(15):
        while True:
            yield
            await asyncio.sleep(0.02)
