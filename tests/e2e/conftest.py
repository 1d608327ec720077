"""One running platform for most journeys; those that kill or stop things start their own."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser

from tests.e2e.screen import CHROMIUM, chromium
from tests.stack import CHECKOUT, RESULTS, Stack
from tests.stack_clients import Desk, desk_of

DEALERS = CHECKOUT / "src" / "orion" / "services" / "lp_bots" / "dealers.toml"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of this folder needs the platform."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("stack")
            if is_cluster() and item.get_closest_marker("embedded"):
                item.add_marker(pytest.mark.skip(reason="of what only the embedded profile has"))
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(900 if is_cluster() else 180))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    """A failed test keeps the logs of the platform it used."""
    report = yield
    if report.failed:
        RESULTS.mkdir(exist_ok=True)
        place = RESULTS / f"{item.name.replace('/', '-')}-{report.when}.txt"
        place.write_text(report.longreprtext)
        for value in getattr(item, "funcargs", {}).values():
            if isinstance(value, Stack):
                value.save_logs(f"{value.name}-{item.name}")
    return report


def tempers(text: str) -> str:
    """The dealers of the product, but nobody refuses at last look by chance: Halden always does,
    the others never, and all do so well within their time. Who quotes how fast and at what price
    stays theirs.
    """
    lines: list[str] = []
    dealer = ""
    for line in text.splitlines():
        dealer = line[1 : line.index("]")] if line.startswith("[") else dealer
        if line.startswith("last_look"):
            drift = "-1000000" if dealer == "HALDEN" else "1000000"
            line = f'last_look = {{ median = 30, max_drift = "{drift}" }}'
        lines.append(line)
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="session")
def calm_dealers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment under which dealers decide the same way in each run."""
    file = tmp_path_factory.mktemp("dealers") / "dealers.toml"
    file.write_text(tempers(DEALERS.read_text()))
    return {"ORION_LP_BOTS_DEALERS_FILE": str(file), "ORION_LP_BOTS_NO_INTEREST_SCALE": "0"}


def is_cluster() -> bool:
    """Whether the cluster profile is under test: by ORION_TEST_PROFILE."""
    return os.environ.get("ORION_TEST_PROFILE") == "cluster"


def profile() -> type[Stack]:
    """The kind of platform that is under test."""
    if not is_cluster():
        return Stack
    from tests.cluster_stack import ClusterStack

    return ClusterStack


@pytest.fixture(scope="session")
async def stack(calm_dealers: dict[str, str]) -> AsyncIterator[Stack]:
    """The platform that most tests share."""
    async with profile()("shared", environment=calm_dealers) as running:
        for user in ("trader@alpha", "trader@beta", "trader2@alpha"):
            await running.allow(user, 100_000)
        yield running


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    """Chromium, as a Debian machine carries it."""
    if not CHROMIUM.exists():
        pytest.fail(f"{CHROMIUM} is missing: run `make test` as root, or install chromium")
    async with chromium() as made:
        yield made


@pytest.fixture
async def desks(stack: Stack) -> AsyncIterator[Desks]:
    """REST clients by user."""
    async with Desks(stack) as made:
        yield made


class Desks:
    """`await desks("trader@alpha")`."""

    def __init__(self, stack: Stack):
        self._stack, self._open = stack, AsyncExitStack()
        self._made: dict[str, Desk] = {}

    async def __aenter__(self) -> Desks:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self._open.aclose()

    async def __call__(self, user: str) -> Desk:
        if user not in self._made:
            self._made[user] = await self._open.enter_async_context(desk_of(self._stack, user))
        return self._made[user]
