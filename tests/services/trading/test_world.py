"""What the RFQ service must have heard before it refuses anything for want of it."""

from __future__ import annotations

from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import grpc
import pytest

from orion.platform.clock import ManualClock
from orion.platform.errors import Unavailable
from orion.services.rfq import asking
from orion.services.rfq.config import Config
from orion.services.rfq.world import OPENING_US, OTHERS_US, World
from orion.wire.stubs import common_pb2, rfq_pb2
from tests.services.market_world import seeds


@pytest.fixture
async def world() -> Any:
    """A service that has just started: it knows nothing."""
    channel = grpc.aio.insecure_channel("unix:/nowhere")
    directory = SimpleNamespace(channel=lambda _service: channel)
    yield World(clock=ManualClock(), bus=None, directory=directory, config=Config())  # type: ignore[arg-type]
    await channel.close()


def ask(world: World, instrument_id: str) -> None:
    request = rfq_pb2.CreateRFQRequest(
        idempotency=common_pb2.Idempotency(key="key-00000001"), instrument_id=instrument_id,
        side=common_pb2.BUY, size="1000000", expiry_seconds=30,
    )  # fmt: skip
    caller: Any = SimpleNamespace(
        tenant="alpha", user="trader@alpha", subject="s", desk="fx", grants=None, roles=()
    )
    asking.create(caller, request, world)


async def test_who_knows_nothing_yet_is_not_there_instead_of_refusing(world: World):
    clock: Any = world._clock
    with pytest.raises(Unavailable, match="reference data is not known yet"):
        ask(world, "EURUSD")
    world.instruments = {i.instrument_id: i for i in seeds().instruments}
    for name in ("EURUSD", "USDJPY"):
        with pytest.raises(Unavailable, match=f"the price of {name} is not known yet"):
            ask(world, name)
    world.prices._mids["EURUSD"] = Decimal("1.1")
    ask(world, "EURUSD")
    with pytest.raises(Unavailable):
        ask(world, "USDJPY")
    clock.advance(OPENING_US + 1)
    with pytest.raises(Unavailable):  # the last prices were not read: it may well have one
        ask(world, "USDJPY")
    world.prices.known.set()
    with pytest.raises(Unavailable):
        ask(world, "USDJPY")
    clock.advance(OPENING_US + 1)
    ask(world, "USDJPY")  # a feed that stays silent: core says what it thinks of it


async def test_one_silent_feed_keeps_nobody_from_starting(world: World):
    clock: Any = world._clock
    assert world.missing() == "reference data is not known"
    world.instruments = {i.instrument_id: i for i in seeds().instruments}
    assert world.missing() == "prices are not known"
    world.prices.known.set()
    clock.advance(OTHERS_US + 1)
    assert world.missing(), "no price at all: the feeds may be starting too"
    world.prices._mids["EURUSD"] = Decimal("1.1")
    assert world.missing()
    clock.advance(OTHERS_US + 1)
    assert world.missing() is None
    with pytest.raises(Unavailable):  # what is without a price is asked again, not denied
        ask(world, "USDJPY")
