"""Dealers on the gateway's stream: outside programs, abuse, silence, reconnects, and the gateway's
own death."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import grpc
import pytest

from orion.platform.errors import Coded
from orion.wire.stubs import lp_pb2, lp_pb2_grpc, rfq_pb2
from tests.postgres import Server
from tests.services.trading.exchange import Exchange, Person, running
from tests.services.trading.street import until

pytestmark = pytest.mark.timeout(180)

# The platform without its own dealers: every answer in these tests is written by hand.
LAYOUT = {
    "prices": ("reference", "marketdata_ingest", "marketdata_projection"),
    "rfq": ("rfq",),
    "gate": ("lp_gateway",),
    "trades": ("execution",),
}
NOBODY = "0000" + "a" * 26


class Dealer:
    """A dealer's program: says what it is told to say, keeps what it hears."""

    def __init__(
        self, exchange: Exchange, lp_id: str, *, credential: str = "", batches: bool = False
    ):
        self.lp_id, self._batches = lp_id, batches
        self._metadata = exchange.service(credential or f"dealer:{lp_id}")
        channel = exchange.directory.channel("lp_gateway")
        self._stub = lp_pb2_grpc.LPGatewayServiceStub(channel)
        self.heard: list[lp_pb2.ToDealer] = []
        self.ended: grpc.StatusCode | None = None
        self._say: asyncio.Queue[lp_pb2.FromDealer] = asyncio.Queue()

    async def __aenter__(self) -> Dealer:
        hello = lp_pb2.DealerHello(lp_id=self.lp_id, takes_batches=self._batches)
        await self.connect(lp_pb2.FromDealer(hello=hello))
        await until(lambda: self.ended or self.of("welcome"), "welcome")
        return self

    async def connect(self, first: lp_pb2.FromDealer) -> None:
        self._call = self._stub.Quote(metadata=self._metadata)
        self._tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._write(first))]

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        self._call.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _write(self, first: lp_pb2.FromDealer) -> None:
        await self._call.write(first)
        while True:
            await self._call.write(await self._say.get())

    async def _read(self) -> None:
        try:
            async for frame in self._call:
                inside = frame.batch.messages if frame.HasField("batch") else [frame]
                self.heard.extend(inside)
            self.ended = grpc.StatusCode.OK
        except grpc.aio.AioRpcError as error:
            self.ended = error.code()

    def say(self, **message: Any) -> None:
        self._say.put_nowait(lp_pb2.FromDealer(**message))

    def of(self, kind: str) -> list[Any]:
        return [getattr(m, kind) for m in self.heard if m.WhichOneof("message") == kind]

    async def hears(self, kind: str, which: Callable[[Any], bool] = lambda _: True) -> Any:
        found = await until(lambda: [m for m in self.of(kind) if which(m)], f"{self.lp_id} {kind}")
        return found[-1]

    async def asked(self, rfq_id: str) -> lp_pb2.QuoteRequest:
        return await self.hears("request", lambda r: r.rfq_id == rfq_id)

    def quote(self, rfq_id: str, price: str, ref: str = "1", size: str = "1000000") -> None:
        answer = lp_pb2.QuoteAnswer(rfq_id=rfq_id, dealer_quote_ref=ref, price=price, size=size)
        self.say(quote=answer)

    async def outcome(self, ref: str) -> lp_pb2.QuoteOutcome:
        return await self.hears("outcome", lambda o: o.dealer_quote_ref == ref)


@pytest.fixture(scope="module")
async def exchange(postgres: Server) -> AsyncIterator[Exchange]:
    grace = {"ORION_LP_GATEWAY_GRACE_S": "1", "ORION_RFQ_ABSENT_AFTER_S": "60"}
    async with postgres.database() as db, running(db, LAYOUT, **grace) as made:
        trader = made.person()

        async def dealt() -> bool:
            with suppress(Coded):
                return bool((await trader.create()).rfq_id)
            return False

        await until(dealt, "prices")
        yield made


async def _dealers(rfq: rfq_pb2.RFQDetails) -> dict[str, str]:
    return {d.lp_id: d.status for d in rfq.dealers}


async def _refused(dealer: Dealer, first: lp_pb2.FromDealer) -> grpc.StatusCode | None:
    await dealer.connect(first)
    await until(lambda: dealer.ended, "the stream ended")
    await dealer.__aexit__()
    return dealer.ended


async def test_an_outside_dealer_quotes_wins_and_is_told(exchange: Exchange) -> None:
    trader = exchange.person()
    async with Dealer(exchange, "NORTHGATE") as one, Dealer(exchange, "MERIDIANX") as other:
        made = await trader.create(lp_ids=["NORTHGATE", "MERIDIANX"])
        asked = await one.asked(made.rfq_id)
        assert (asked.instrument_id, asked.size, asked.client) == ("EURUSD", "1000000", "alpha")
        assert "trader" not in str(asked), "a dealer learns the organisation, not the person"
        one.quote(made.rfq_id, "1.10001")
        other.quote(made.rfq_id, "1.10002")
        assert (await one.outcome("1")).taken and (await other.outcome("1")).taken
        seen = await trader.quoted(made.rfq_id, 2)
        await trader.accept(seen)
        won = await one.hears("ended", lambda m: m.rfq_id == made.rfq_id)
        lost = await other.hears("ended", lambda m: m.rfq_id == made.rfq_id)
        assert (won.how, won.quote_id) == ("TRADED_WITH_YOU", seen.best_quote_id)
        assert (lost.how, lost.quote_id) == ("TRADED_AWAY", "")


async def test_last_look_over_the_stream(exchange: Exchange) -> None:
    trader = exchange.person()
    async with Dealer(exchange, "HALDEN") as dealer:
        for passed, status in ((False, "QUOTING"), (True, "TRADED")):
            made = await trader.create(lp_ids=["HALDEN"])
            await dealer.asked(made.rfq_id)
            dealer.quote(made.rfq_id, "1.10001")
            await trader.accept(await trader.quoted(made.rfq_id))
            look = await dealer.hears("last_look", lambda m, r=made.rfq_id: m.rfq_id == r)
            assert look.dealer_quote_ref == "1" and look.price == "1.10001"
            reply = lp_pb2.LastLookReply(
                rfq_id=made.rfq_id, quote_id=look.quote_id, passed=passed, reason="moved"
            )
            dealer.say(last_look=reply)
            await trader.settled(made.rfq_id, status)


@pytest.mark.parametrize(
    ("quote", "code"),
    [
        ({"price": "1.100011"}, "LP-303"),
        ({"price": "abc"}, "LP-303"),
        ({"price": "1e5"}, "LP-303"),
        ({"price": "9" * 18}, "LP-303"),
        ({"price": "9" * 30}, "LP-303"),
        ({"price": "9" * 41}, "LP-307"),
        ({"price": "-1.1"}, "LP-303"),
        ({"size": "999999999999"}, "LP-302"),
        ({"size": "0"}, "LP-302"),
        ({"size": "NaN"}, "LP-302"),
        ({"rfq_id": NOBODY}, "LP-304"),
        ({"rfq_id": "nonsense"}, "LP-307"),
        ({"rfq_id": ""}, "LP-307"),
        ({"dealer_quote_ref": ""}, "LP-307"),
        ({"dealer_quote_ref": "x" * 65}, "LP-307"),
        ({"dealer_quote_ref": "a\x00b"}, "LP-307"),
    ],
)
async def test_hostile_quotes_are_refused_with_a_code(
    exchange: Exchange, quote: dict[str, str], code: str
) -> None:
    trader = exchange.person()
    async with Dealer(exchange, "NORTHGATE") as dealer:
        made = await trader.create(lp_ids=["NORTHGATE"])
        await dealer.asked(made.rfq_id)
        fields = {
            "rfq_id": made.rfq_id, "dealer_quote_ref": "hostile", "price": "1.10001",
            "size": "1000000", **quote,
        }  # fmt: skip
        dealer.say(quote=lp_pb2.QuoteAnswer(**fields))
        outcome = await dealer.hears("outcome")
        assert outcome.code == code and not outcome.taken
        assert dealer.ended is None, "one bad quote does not end the stream"


async def test_a_dealer_that_was_not_asked_cannot_quote(exchange: Exchange) -> None:
    trader = exchange.person()
    async with Dealer(exchange, "NORTHGATE"), Dealer(exchange, "BRACKWATER") as uninvited:
        made = await trader.create(lp_ids=["NORTHGATE"])
        uninvited.quote(made.rfq_id, "1.00001", "u")
        assert (await uninvited.outcome("u")).code == "LP-304"
        assert not (await trader.get(made.rfq_id)).quotes


async def test_a_late_quote_is_refused_and_a_repeated_one_counts_once(exchange: Exchange) -> None:
    trader = exchange.person()
    async with Dealer(exchange, "NORTHGATE") as dealer:
        made = await trader.create(lp_ids=["NORTHGATE"])
        await dealer.asked(made.rfq_id)
        for _ in range(3):
            dealer.quote(made.rfq_id, "1.10001")
        await until(lambda: len(dealer.of("outcome")) == 3, "three outcomes")
        assert all(o.taken for o in dealer.of("outcome"))
        assert len((await trader.get(made.rfq_id)).quotes) == 1
        await trader.cancel(made.rfq_id)
        await dealer.hears("ended", lambda m: m.how == "CANCELLED")
        dealer.quote(made.rfq_id, "1.10002", "late")
        assert (await dealer.outcome("late")).code == "LP-301"


async def test_passes_and_withdrawals(exchange: Exchange) -> None:
    trader = exchange.person()
    async with Dealer(exchange, "NORTHGATE") as one, Dealer(exchange, "MERIDIANX") as other:
        made = await trader.create(lp_ids=["NORTHGATE", "MERIDIANX"])
        await one.asked(made.rfq_id)
        one.say(declined=lp_pb2.PassAnswer(rfq_id=made.rfq_id, reason="SIZE"))
        other.quote(made.rfq_id, "1.10001")
        await trader.quoted(made.rfq_id)
        back = lp_pb2.WithdrawAnswer(rfq_id=made.rfq_id, dealer_quote_ref="1")
        other.say(withdraw=back)

        async def there() -> bool:
            seen = await trader.get(made.rfq_id)
            passed = (await _dealers(seen))["NORTHGATE"] == "PASSED"
            return passed and [q.status for q in seen.quotes] == ["WITHDRAWN"]

        await until(there, "a pass and a withdrawal")
        seen = await trader.get(made.rfq_id)
        with pytest.raises(Coded) as refused:
            await trader.accept(seen, seen.quotes[0].quote_id)
        assert refused.value.code == "RFQ-208"


async def test_the_blotter_counts_one_quote_of_each_dealer(exchange: Exchange) -> None:
    trader = exchange.person()
    async with (
        Dealer(exchange, "NORTHGATE") as one, Dealer(exchange, "HALDEN") as other,
        Dealer(exchange, "MERIDIANX") as third,
    ):  # fmt: skip
        made = await trader.create(lp_ids=["NORTHGATE", "HALDEN", "MERIDIANX"])
        for dealer in (one, other, third):
            await dealer.asked(made.rfq_id)
        third.quote(made.rfq_id, "1.10009")
        await third.outcome("1")
        third.say(withdraw=lp_pb2.WithdrawAnswer(rfq_id=made.rfq_id, dealer_quote_ref="1"))
        for n in range(4):  # each takes the place of the one before
            one.quote(made.rfq_id, f"1.1000{5 + n}", f"n{n}")
            await one.outcome(f"n{n}")
        for ref, passed in (("h0", False), ("h1", True)):
            other.quote(made.rfq_id, "1.10001", ref)
            await other.outcome(ref)
            await trader.accept(await trader.quoted(made.rfq_id, 2))
            look = await other.hears("last_look", lambda m, r=ref: m.dealer_quote_ref == r)
            reply = lp_pb2.LastLookReply(rfq_id=made.rfq_id, quote_id=look.quote_id, passed=passed)
            other.say(last_look=reply)
            await trader.settled(made.rfq_id, "TRADED" if passed else "QUOTING")
        seen = await trader.get(made.rfq_id)
        assert len(seen.quotes) == 7, "all are kept"
        gone = {"WITHDRAWN", "LAST_LOOK_REJECTED"}
        assert sum(q.status not in gone for q in seen.quotes) == 2, "as a screen counts them"

        async def counted() -> bool:
            rows = (await trader.list(rfq_id=made.rfq_id, status=["TRADED"])).items
            return bool(rows) and (rows[0].quote_count, rows[0].dealer_count) == (2, 3)

        await until(counted, "the blotter counts as the screen does")


@pytest.mark.parametrize(
    ("credential", "lp_id", "status"),
    [
        ("dealer:HALDEN", "NORTHGATE", grpc.StatusCode.PERMISSION_DENIED),
        ("rfq", "NORTHGATE", grpc.StatusCode.PERMISSION_DENIED),
        ("lp_bots", "NOBODY", grpc.StatusCode.NOT_FOUND),
        ("lp_bots", "CORVID", grpc.StatusCode.NOT_FOUND),
    ],
)
async def test_nobody_speaks_for_another_dealer(
    exchange: Exchange, credential: str, lp_id: str, status: grpc.StatusCode
) -> None:
    hello = lp_pb2.FromDealer(hello=lp_pb2.DealerHello(lp_id=lp_id))
    assert await _refused(Dealer(exchange, lp_id, credential=credential), hello) is status


async def test_the_first_message_must_be_hello(exchange: Exchange) -> None:
    ping = lp_pb2.FromDealer(ping=lp_pb2.DealerPing(at_us=1))
    ended = await _refused(Dealer(exchange, "NORTHGATE"), ping)
    assert ended is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_dealer_that_only_talks_nonsense_is_cut(exchange: Exchange) -> None:
    async with Dealer(exchange, "NORTHGATE") as dealer:
        for _ in range(150):
            dealer.say(quote=lp_pb2.QuoteAnswer(rfq_id="?"))
        await until(lambda: dealer.ended, "cut")
        # A client that is cut while it writes may see the reset before the status.
        assert dealer.ended in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.INTERNAL)


async def test_a_newer_stream_replaces_the_older(exchange: Exchange) -> None:
    async with Dealer(exchange, "NORTHGATE") as older, Dealer(exchange, "NORTHGATE") as newer:
        await until(lambda: older.ended, "the older one ended")
        assert older.ended is grpc.StatusCode.ABORTED and newer.ended is None
        made = await exchange.person().create(lp_ids=["NORTHGATE"])
        await newer.asked(made.rfq_id)


async def test_a_simulated_dealer_gives_way_to_an_outside_one(exchange: Exchange) -> None:
    async with (
        Dealer(exchange, "NORTHGATE", credential="lp_bots") as house,
        Dealer(exchange, "NORTHGATE") as outside,
    ):
        await until(lambda: house.ended, "the simulated one gave way")
        hello = lp_pb2.FromDealer(hello=lp_pb2.DealerHello(lp_id="NORTHGATE"))
        again = Dealer(exchange, "NORTHGATE", credential="lp_bots")
        assert await _refused(again, hello) is grpc.StatusCode.ABORTED
        assert outside.ended is None
    async with Dealer(exchange, "NORTHGATE", credential="lp_bots") as back:
        assert back.ended is None


async def test_a_dealer_s_credential_opens_nothing_else(exchange: Exchange) -> None:
    someone = exchange.person()
    someone.metadata = exchange.service("dealer:NORTHGATE")
    for call, request in (
        (someone.rfq.GetRFQ, rfq_pb2.GetRFQRequest(rfq_id=NOBODY)),
        (someone.rfq.ListRFQs, rfq_pb2.ListRFQsRequest()),
        (someone.rfq.SubmitQuotes, rfq_pb2.SubmitQuotesRequest()),
    ):
        with pytest.raises(Coded) as refused:
            await someone.ask(call, request)
        assert refused.value.code == "AUTH-103"


async def test_a_dealer_that_reconnects_is_asked_again(exchange: Exchange) -> None:
    trader = exchange.person()
    async with Dealer(exchange, "NORTHGATE") as dealer:
        made = await trader.create(lp_ids=["NORTHGATE"])
        await dealer.asked(made.rfq_id)
    async with Dealer(exchange, "NORTHGATE", batches=True) as again:
        asked = await again.asked(made.rfq_id)
        assert asked.expires_at_us == made.expires_at_us
        again.quote(made.rfq_id, "1.10001")
        await trader.quoted(made.rfq_id)


async def test_a_dealer_that_stays_away_is_passed_over(exchange: Exchange) -> None:
    trader = exchange.person()
    async with Dealer(exchange, "TARNWICK"):
        pass
    made = await trader.create(lp_ids=["TARNWICK"])

    async def passed() -> bool:
        seen = await trader.get(made.rfq_id)
        return (await _dealers(seen))["TARNWICK"] == "PASSED"

    await until(passed, "passed over")
    line = next(d for d in (await trader.get(made.rfq_id)).dealers if d.lp_id == "TARNWICK")
    assert line.reason == "NOT_CONNECTED"


async def test_the_gateway_dies_and_finds_its_open_requests_again(exchange: Exchange) -> None:
    trader = exchange.person()
    async with Dealer(exchange, "HALDEN") as dealer:
        made = await trader.create(lp_ids=["HALDEN"], expiry_seconds=120)
        await dealer.asked(made.rfq_id)
        dealer.quote(made.rfq_id, "1.10001")
        waiting = await trader.create(lp_ids=["HALDEN"], expiry_seconds=120)
        await exchange.restart("gate")
        await until(lambda: dealer.ended, "the stream died with it")
    async with Dealer(exchange, "HALDEN") as back:
        await back.asked(waiting.rfq_id)
        await trader.accept(await trader.quoted(made.rfq_id))
        look = await back.hears("last_look", lambda m: m.rfq_id == made.rfq_id)
        back.say(
            last_look=lp_pb2.LastLookReply(rfq_id=made.rfq_id, quote_id=look.quote_id, passed=True)
        )
        await trader.settled(made.rfq_id, "TRADED")


async def test_the_rfq_service_dies_between_quote_and_accept(exchange: Exchange) -> None:
    trader: Person = exchange.person()
    async with Dealer(exchange, "NORTHGATE") as dealer:
        made = await trader.create(lp_ids=["NORTHGATE"])
        await dealer.asked(made.rfq_id)
        dealer.quote(made.rfq_id, "1.10001")
        seen = await trader.quoted(made.rfq_id)
        await exchange.restart("rfq")
        accepted = await trader.accept(seen, key="accept-over-a-restart")
        assert accepted.status == "ACCEPTED"
        again = await trader.accept(seen, key="accept-over-a-restart")
        assert again == accepted, "the same key, the same answer"
        await trader.settled(made.rfq_id, "TRADED")
