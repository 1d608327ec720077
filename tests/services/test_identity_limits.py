"""Brute force is slowed, configuration with defaults is refused, events are told exactly once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from orion.core.identity import LoginFailed, UserLoggedIn
from orion.platform.cache.memory import MemoryCache
from orion.platform.clock import ManualClock
from orion.platform.config import ConfigError, Settings
from orion.platform.errors import Coded
from orion.platform.module import Ports
from orion.platform.revocation_board import BoardReader, BoardWriter
from orion.platform.revocations import Revoked
from orion.platform.secret_files import SecretFiles
from orion.services.identity import demo, queries
from orion.services.identity.config import Config
from orion.services.identity.feed import Feed
from orion.services.identity.journal import Journal
from orion.services.identity.keys import SigningKeys
from orion.services.identity.module import build
from orion.services.identity.passwords import Passwords
from orion.services.identity.ticket import Tickets
from tests.postgres import Server
from tests.services.identity_stack import MINUTE, PASSWORD, QUICK, Browser, Stack, running, until


@pytest.fixture(scope="module")
async def stack(postgres: Server, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    async with (
        postgres.database("0001", "0002", "0008", "0014", "0016") as db,
        running(db, tmp_path_factory.mktemp("l")) as stack,
    ):
        yield stack


async def attempt(browser: Browser, user: str, password: str = "wrong") -> Any:
    return await browser.submit(await browser.open_login(), user=user, password=password)


# -- brute force


@pytest.mark.parametrize("user", ["trader@alpha", "nobody@alpha", "nobody@nowhere", "nonsense"])
async def test_tries_are_slowed_alike_for_those_who_exist_and_those_who_do_not(
    stack: Stack, user: str
) -> None:
    browser = stack.browser(f"10.2.0.{len(user)}")
    answers = [await attempt(browser, user) for _ in range(6)]
    assert [a.status_code for a in answers] == [401, 401, 401, 401, 429, 429]
    assert "left" not in answers[1].text
    assert "Two tries left" in answers[2].text and "One try left" in answers[3].text
    assert (
        "Try again in 5 minutes" in answers[4].text and answers[4].headers["retry-after"] == "300"
    )
    right = await attempt(browser, user, PASSWORD)
    assert right.status_code == 429, "not even the right password while the pause lasts"


async def test_a_pause_ends_and_other_addresses_are_not_hit_by_it(stack: Stack) -> None:
    browser = stack.browser("10.3.0.1")
    for _ in range(5):
        last = await attempt(browser, "sales@beta")
    assert last.status_code == 429
    elsewhere = stack.browser("10.3.0.2")
    await elsewhere.sign_in("sales@beta")
    stack.clock.advance(5 * MINUTE)
    await browser.sign_in("sales@beta")


async def test_a_success_forgets_earlier_failures(stack: Stack) -> None:
    browser = stack.browser("10.4.0.1")
    for _ in range(3):
        for _ in range(4):
            assert (await attempt(browser, "risk@beta")).status_code == 401
        await browser.sign_in("risk@beta")


async def test_one_address_cannot_try_name_after_name(stack: Stack) -> None:
    browser = stack.browser("10.5.0.1")
    page = await browser.open_login()
    answers = [await browser.submit(page, user=f"user{n}@alpha", password="x") for n in range(51)]
    assert [a.status_code for a in answers[:49]] == [401] * 49
    assert [a.status_code for a in answers[49:]] == [429, 429]


async def test_tries_at_once_are_counted_before_they_are_made(stack: Stack) -> None:
    browser = stack.browser("10.6.0.1")
    page = await browser.open_login()
    answers = await asyncio.gather(
        *(browser.submit(page, user="admin@beta", password="x") for _ in range(20))
    )
    assert sum(a.status_code == 401 for a in answers) <= 4
    assert all(a.status_code in (401, 429) for a in answers)


async def test_failures_are_told_without_what_was_typed(stack: Stack) -> None:
    browser = stack.browser("10.7.0.1")
    await attempt(browser, "hunter2@alpha", "x")
    await attempt(browser, "trader2@alpha", "hunter2")
    failed = [e for e in await stack.events(LoginFailed) if e.address == "10.7.0.1"]
    assert [(e.user, e.reason) for e in failed] == [
        ("?@alpha", "UNKNOWN_USER"),
        ("trader2@alpha", "WRONG_PASSWORD"),
    ]
    log = await stack.ports.bus.read("identity.sessions", 0, 0, 5000)
    assert all(b"hunter2" not in record.body for record in log)


async def test_too_many_at_once_are_turned_away() -> None:
    passwords = Passwords(Config(password_checks=1, password_waiting=2, argon2_memory_kib=64))
    answers = await asyncio.gather(
        *(passwords.matches(None, "x") for _ in range(8)), return_exceptions=True
    )
    passwords.close()
    refused = [a for a in answers if isinstance(a, Coded)]
    assert len(refused) == 5 and {r.code for r in refused} == {"API-109"}


async def test_a_password_that_is_too_long_is_nobodys(stack: Stack) -> None:
    passwords = Passwords(QUICK)
    stored = await passwords.hash("a" * 256)
    assert await passwords.matches(stored, "a" * 256)
    assert not await passwords.matches(stored, "a" * 257)
    assert not await passwords.matches("not a hash", "x")
    passwords.close()


# -- events


class _Lost(Exception):
    """The process dies here."""


async def test_events_are_told_once_though_the_teller_dies_after_telling(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = len(await stack.events(UserLoggedIn))
    real, fell = queries.drop_notes, 0

    async def dies(sql: Any, done: list[Any]) -> None:
        nonlocal fell
        if done and fell < 3:
            fell += 1
            raise _Lost
        await real(sql, done)

    monkeypatch.setattr("orion.services.identity.journal.queries.drop_notes", dies)
    for _ in range(3):
        await stack.browser("10.8.0.1").sign_in("trader@beta")
    await until(lambda: fell == 3)
    events = await stack.events(UserLoggedIn)
    assert len(events) == before + 3
    log = await stack.ports.bus.read("identity.sessions", 0, 0, 5000)
    entities: dict[tuple[str, str], list[int]] = {}
    for record in log:
        entities.setdefault((record.tenant, record.entity), []).append(record.seq)
    assert all(seqs == list(range(1, len(seqs) + 1)) for seqs in entities.values())
    assert len({record.event_id for record in log}) == len(log)


async def test_what_is_rolled_back_is_not_told(stack: Stack) -> None:
    before = len(await stack.events(UserLoggedIn))
    journal = Journal(stack.ports.database, None)  # type: ignore[arg-type]
    with pytest.raises(_Lost):
        async with stack.ports.database.write("identity", ["alpha"]) as sql:
            await journal.note(sql, "alpha", UserLoggedIn(1, "u", "u@alpha", "s", "c"))
            raise _Lost
    assert len(await stack.events(UserLoggedIn)) == before


# -- revocations written by another copy


async def test_a_revocation_of_another_copy_is_told_within_a_poll(stack: Stack) -> None:
    feed = Feed(stack.ports.database, stack.clock, 50)
    running_feed = asyncio.create_task(feed.run())
    heard: list[Revoked] = []

    async def listen() -> None:
        async for _, items in feed.watch():
            heard.extend(items)

    listening = asyncio.create_task(listen())
    await until(lambda: feed.watchers)
    async with stack.ports.database.write("identity", ["alpha"]) as sql:
        user = await queries.user_by_name(sql, "alpha", "analyst")
        assert user
        await queries.end_all_sign_ins(sql, user, "DISABLED", stack.clock.now())
    await until(lambda: any(item.subject == user.user_id for item in heard))
    assert sum(item.subject == user.user_id for item in heard) <= 2
    running_feed.cancel()
    listening.cancel()


async def test_the_board_is_kept_although_nobody_watches(stack: Stack) -> None:
    cache = MemoryCache(is_shared=True)
    feed = Feed(stack.ports.database, stack.clock, 50, BoardWriter(cache))
    running_feed = asyncio.create_task(feed.run())
    found: set[str | None] = set()
    reader = BoardReader(cache)

    async def on_board(subject: str) -> None:
        async with asyncio.timeout(20):
            while subject not in found:
                await asyncio.sleep(0.01)
                found.update(item.subject for item in (await reader.read() or (0, []))[1])

    for name in ("analyst", "sales"):  # what was there before, and what comes later
        async with stack.ports.database.write("identity", ["beta"]) as sql:
            user = await queries.user_by_name(sql, "beta", name)
            assert user
            await queries.end_all_sign_ins(sql, user, "DISABLED", stack.clock.now())
        await on_board(user.user_id)
    cache.fail(True)
    cache.fail(False)  # emptied: it heals at the next chance
    reader, found = BoardReader(cache), set()
    stack.clock.advance(11 * 10**6)
    await on_board(user.user_id)
    running_feed.cancel()


# -- configuration and keys


def _ports(folder: Path, **environment: str) -> Ports:
    settings = Settings(environment={"ORION_DATA_DIR": str(folder), **environment})
    nothing: Any = None
    cache = MemoryCache()
    return Ports(
        ManualClock(), nothing, nothing, nothing, cache, nothing, nothing, settings, nothing
    )


CLUSTER = {"ORION_PROFILE": "cluster", "ORION_PUBLIC_URL": "https://orion.example"}


def _given(folder: Path, **secrets: str) -> None:
    (folder / "secrets").mkdir(exist_ok=True)
    for name, text in secrets.items():
        (folder / "secrets" / name.replace("_", "-")).write_text(text)


GOOD = "3f9c1a7be2d84650b1c7f03a9e5d2468aa"


@pytest.mark.parametrize(
    ("secrets", "environment", "names"),
    [
        ({}, CLUSTER, "oidc-signing"),
        ({"oidc_client_orion_bff": "short"}, CLUSTER, "oidc-signing"),
        ({"key": "1"}, CLUSTER, "oidc-client-orion-bff"),
        ({"key": "1", "oidc_client_orion_bff": "a" * 40}, CLUSTER, "oidc-client-orion-bff"),
        ({"key": "1", "oidc_client_orion_bff": "orion-demo" + GOOD}, CLUSTER, "guessed"),
        ({"key": "1", "oidc_client_orion_bff": GOOD[:20]}, CLUSTER, "too short"),
        ({"key": "1", "oidc_client_orion_bff": GOOD}, CLUSTER, "oidc-forms"),
        ({}, {**CLUSTER, "ORION_PUBLIC_URL": "http://orion.example"}, "ORION_PUBLIC_URL"),
        ({}, {**CLUSTER, "ORION_IDENTITY_DEMO_PASSWORD": "x"}, "ORION_IDENTITY_DEMO_PASSWORD"),
    ],
)
def test_a_cluster_with_missing_or_default_secrets_does_not_start(
    tmp_path: Path, secrets: dict[str, str], environment: dict[str, str], names: str
) -> None:
    if secrets.pop("key", None):
        SigningKeys(tmp_path / "secrets")
    _given(tmp_path, **secrets)
    ports = _ports(tmp_path, **environment)
    with pytest.raises(ConfigError) as refusal:
        build(ports, ports.settings.section("identity", Config))
    assert names in str(refusal.value)


def test_a_cluster_with_its_own_secrets_starts_without_demo_users(tmp_path: Path) -> None:
    SigningKeys(tmp_path / "secrets")
    _given(tmp_path, oidc_client_orion_bff=GOOD, oidc_forms=GOOD[::-1])
    ports = _ports(tmp_path, **CLUSTER)
    module = build(ports, Config())
    assert module.ready() is None, "there is nothing to seed"


def test_secrets_are_for_their_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    first = SecretFiles(folder, may_create=True).read("x")
    assert SecretFiles(folder, may_create=True).read("x") == first and len(first) >= 32
    SigningKeys(folder)
    assert {oct(p.stat().st_mode & 0o777) for p in folder.iterdir()} == {"0o600"}


def test_keys_rotate_and_the_old_ones_are_still_known(tmp_path: Path) -> None:
    keys = SigningKeys(tmp_path)
    old = keys.public()["keys"][0]["kid"]
    new = keys.rotate()
    again = SigningKeys(tmp_path)
    assert [k["kid"] for k in again.public()["keys"]] == [old, new]
    assert f'"kid":"{new}"'.encode() in _header(again.sign({}, "at+jwt"))


def _header(token: str) -> bytes:
    import base64

    part = token.partition(".")[0]
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def test_a_ticket_is_good_in_its_browser_for_its_time(tmp_path: Path) -> None:
    clock = ManualClock()
    tickets = Tickets(b"k" * 32, clock, 60)
    ticket = tickets.make("a=b", "browser")
    assert tickets.read(ticket, "browser") == "a=b"
    for value, browser in (
        (ticket, "other"),
        (ticket, ""),
        ("", "browser"),
        ("a.b", "browser"),
        ("ü.ü", "browser"),
    ):
        assert tickets.read(value, browser) is None
    assert Tickets(b"z" * 32, clock, 60).read(ticket, "browser") is None
    clock.advance(60_000_000)
    assert tickets.read(ticket, "browser") is None


async def test_applying_the_demo_again_keeps_what_was_changed(stack: Stack) -> None:
    passwords = Passwords(QUICK)
    async with stack.ports.database.write("identity", ["beta"]) as sql:
        before = await queries.user_by_name(sql, "beta", "platform")
        assert before
        await queries.set_disabled(sql, before, True, 1)
    await demo.apply(stack.ports.database, passwords, "another", stack.clock)
    async with stack.ports.database.write("identity", ["beta"]) as sql:
        after = await queries.user_by_name(sql, "beta", "platform")
        assert after and after.disabled and after.password_hash == before.password_hash
        await queries.set_disabled(sql, before, False, 1)
    passwords.close()


def test_the_demo_users_are_what_the_tour_says() -> None:
    _, users = demo.users()
    by_login = {u.login: u for u in users}
    assert len(users) == 14
    for tenant in ("alpha", "beta"):
        first, second = by_login[f"trader@{tenant}"], by_login[f"trader2@{tenant}"]
        assert first.desk == second.desk and first.max_notional > second.max_notional
        assert "CREDIT" in first.asset_classes and "CREDIT" not in second.asset_classes
        assert by_login[f"platform@{tenant}"].asset_classes == ()
