"""Every operation of the public API, fuzzed by its own description against the real platform: no
5xx, nothing that is not described.

ORION_FUZZ_REQUESTS says how many requests in all (2,000 by default).
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from orion.services.bff_workstation import openapi
from tests.stack import Stack
from tests.stack_clients import desk_of

REQUESTS = int(os.environ.get("ORION_FUZZ_REQUESTS", "2000"))
CHECKS: list[Any] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
DOCUMENT = json.loads(openapi.PATH.read_text())
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
OPERATIONS = [found.ok() for found in SCHEMA.get_all_operations()]
# positive and negative data, with ids out of the air and with a real one
ROUNDS = [
    (mode, is_real)
    for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
    for is_real in (False, True)
]
# Some operations have few different requests and are done sooner; the others make up for them.
EACH = max(1, REQUESTS * 3 // (2 * len(OPERATIONS) * len(ROUNDS)))
pytestmark = [pytest.mark.stack, pytest.mark.timeout(300 + REQUESTS // 10)]


@pytest.fixture(scope="module")
async def platform() -> AsyncIterator[Stack]:
    """A platform of its own: what is fuzzed here must not disturb the journeys."""
    async with Stack("fuzz") as running:
        await running.allow("trader@alpha", 100_000)
        yield running


@pytest.fixture(scope="module")
async def real(platform: Stack) -> dict[str, Any]:
    """A token, and ids of things that are there."""
    async with desk_of(platform, "trader@alpha") as desk:
        rfq = await desk.trade()
        watchlist = (await desk.get("/watchlists")).json()["items"][0]
    return {
        "token": await platform.token("trader@alpha"),
        "rfq_id": rfq["rfqId"],
        "correlation_id": rfq["correlationId"],
        "trade_id": rfq["tradeId"],
        "watchlist_id": watchlist["watchlistId"],
    }


@pytest.fixture(scope="module")
def sent() -> Counter[str]:
    return Counter()


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda o: o.label.replace(" /api/v1", " "))
@pytest.mark.parametrize(
    ("mode", "is_real"), ROUNDS, ids=[f"{m.value}{'-real-id' if r else ''}" for m, r in ROUNDS]
)
def test_no_operation_breaks(
    platform: Stack,
    real: dict[str, Any],
    sent: Counter[str],
    operation: Any,
    mode: GenerationMode,
    is_real: bool,
):
    ids = {p.name for p in operation.path_parameters}
    fixed = {name: real[name] for name in ids} if is_real else {}
    if mode is GenerationMode.NEGATIVE and not can_be_negated(operation, fixed):
        pytest.skip("everything is valid here")
    session = requests.Session()
    session.headers["authorization"] = f"Bearer {real['token']}"
    checks = [*CHECKS, negative_data_rejection] if mode is GenerationMode.NEGATIVE else CHECKS

    @seed(20260209)
    @settings(
        max_examples=EACH,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    @given(case=operation.as_strategy(mode, path_parameters=fixed or None))
    def fuzz(case: Any) -> None:
        case.headers = {
            k: v
            for k, v in (case.headers or {}).items()
            if k.lower() not in ("authorization", "cookie")
        }
        response = case.call(platform.url, session, timeout=20)
        sent[str(response.status_code)] += 1
        assert response.status_code not in (500, 502, 504), response.text
        # Too large to be read at all is a refusal too.
        is_unread = response.status_code == 431
        case.validate_response(response, checks=CHECKS if is_unread else checks)

    with session:
        fuzz()


def can_be_negated(operation: Any, fixed: dict[str, Any]) -> bool:
    """True when there is something that could be wrong beside what is fixed."""
    free = [p for p in operation.path_parameters if p.name not in fixed]
    return bool(free or list(operation.query) or list(operation.headers) or list(operation.body))


def test_it_really_happened(sent: Counter[str]):
    """Green and empty would be red."""
    if sum(sent.values()):  # not when a single case was picked
        assert sum(sent.values()) >= REQUESTS * 0.8, sent
        assert sent["200"] and sent["400"] and sent["404"] and sent["422"], sent
        print("answers by status:", dict(sorted(sent.items())))
