"""Seeded histories of the real owners on virtual time: traders, dealers, duplicates, crashes at
every edge of a write.

Each history ends quiet and is then checked against what must always hold. Planted bugs prove that
the checks can fail.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections import Counter, defaultdict
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from orion.core.rfq import commands as c
from orion.core.rfq import events as e
from orion.core.rfq.state import Rfq
from orion.core.trade import ExecuteTrade, Trade
from orion.platform.bus.memory import MemoryBus
from orion.platform.errors import Coded, NotOwner
from orion.platform.store.memory import MemoryStore
from orion.platform.store.port import OutcomeUnknown
from orion.platform.transact import Context, Decided
from orion.services.execution.aggregate import TradeAggregate
from orion.services.rfq.aggregate import Answer, Order, RfqAggregate
from orion.wire.envelope import decode
from tests.core.rfq_world import ASH, BIRCH, CEDAR
from tests.services.trading.street import Street
from tests.sim.virtual import VirtualClock, run

LPS = (ASH.lp_id, BIRCH.lp_id, CEDAR.lp_id)
FAULT = 0.04  # of writes


@dataclass
class Seen:
    """What really happened in a history, so that an empty one is not taken for a good one."""

    answered: dict[tuple[str, str], bytes] = field(default_factory=dict)  # acknowledged, by key
    accepted: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)


class Faults:
    """Loses connections before and after a commit; the owner cannot know which."""

    def __init__(self, chance: random.Random, seen: Seen, store: MemoryStore):
        self._chance, self._seen, self.on = chance, seen, True
        store.before, store.after = self._before, self._after

    def _before(self, _: Any) -> None:
        if self.on and self._chance.random() < FAULT:
            self._seen.counts["lost before the commit"] += 1
            raise OutcomeUnknown

    def _after(self, _: Any) -> None:
        if self.on and self._chance.random() < FAULT:
            self._seen.counts["lost after the commit"] += 1
            raise OutcomeUnknown


class History:
    """One seed's story."""

    def __init__(self, clock: VirtualClock, seed: int, **aggregates: Any):
        self.chance, self.seen = random.Random(seed), Seen()
        self.store = MemoryStore(clock)
        self.bus = MemoryBus(self.store)
        self.clock = clock
        copies = self.chance.choice((1, 1, 2))
        self.street = Street(self.store, self.bus, clock, copies=copies, **aggregates)
        self.faults = Faults(self.chance, self.seen, self.store)

    async def play(self) -> Seen:
        """Traders at their work while copies die; then silence, then the checks."""
        async with self.street:
            people = [self._trader(n) for n in range(self.chance.randint(2, 4))]
            chaos = asyncio.create_task(self._chaos())
            await asyncio.gather(*people)
            chaos.cancel()
            with suppress(asyncio.CancelledError):
                await chaos
            self.faults.on = False
            await self._quiet()
            await check(self)
        return self.seen

    async def _quiet(self) -> None:
        """Waits until every RFQ has ended and every log has been heard."""

        def ended() -> bool:
            heard = self.store.checkpoints
            behind = [
                head
                for head, lines in self.store.log.items()
                for group, topic in (("execution", "rfq.lifecycle"), ("rfq", "execution.trades"))
                if head[0] == topic and heard.get((group, *head), 0) < len(lines)
            ]
            live = any(snapshot.live for _, snapshot in self.store.states.values())
            return not behind and not live

        for _ in range(400):
            if ended():
                return
            await asyncio.sleep(0.25)
        raise AssertionError("it does not come to rest")

    async def _chaos(self) -> None:
        while True:
            await asyncio.sleep(self.chance.uniform(0.5, 6))
            at = self.chance.randrange(len(self.street.copies))
            copy = self.street.copies[at]
            self.seen.counts["copies killed"] += 1
            await copy.stop()
            fresh = self.street.copies[at] = self.street._copy(copy.name)
            fresh._tasks = [asyncio.create_task(o.run()) for o in (fresh.rfq, fresh.trade)]
            await asyncio.sleep(self.chance.uniform(0, 1))

    # -- people ------------------------------------------------------------------------------------

    async def _trader(self, n: int) -> None:
        for i in range(self.chance.randint(1, 4)):
            await asyncio.sleep(self.chance.uniform(0, 1))
            key, user = f"key-{n}-{i:05}", f"trader{n}"
            expiry = self.chance.randint(5, 9)
            made = await self._again(
                lambda k=key, u=user, x=expiry: self.street.create(k, user=u, expiry_seconds=x)
            )
            if made is None:
                continue
            rfq_id, answer = made
            self._note(rfq_id, key, answer)
            dealers = [self._dealer(rfq_id, lp) for lp in LPS]
            await asyncio.gather(self._click(rfq_id, user), *dealers)

    async def _dealer(self, rfq_id: str, lp: str) -> None:
        for ref in range(self.chance.randint(0, 2)):
            await asyncio.sleep(self.chance.uniform(0, 4))
            price = f"1.1{self.chance.randint(4600, 4650)}"
            for _ in range(self.chance.choice((1, 1, 3))):  # at least once, sometimes more
                life = self.chance.choice((0, 800))
                await self._again(
                    lambda r=ref, p=price, x=life: self.street.quote(
                        rfq_id, lp, p, ref=f"q{r}", life_ms=x
                    )
                )

    async def _click(self, rfq_id: str, user: str) -> None:
        for n in range(self.chance.randint(1, 3)):
            await asyncio.sleep(self.chance.uniform(0, 4))
            state = await self._again(lambda: self.street.state(rfq_id))
            if state is None or not state.quotes:
                continue
            if self.chance.random() < 0.15:
                await self._again(lambda: self.street.cancel(rfq_id, user=user))
                continue
            quote_id = self.chance.choice(state.quotes).quote.quote_id
            key = f"accept-{n:04}"
            clicks = [
                self._accept(rfq_id, quote_id, state.version, key, user)
                for _ in range(self.chance.choice((1, 2)))
            ]
            await asyncio.gather(*clicks)
            if quote_id_is_looked_at(state, quote_id) and self.chance.random() < 0.8:
                await asyncio.sleep(self.chance.uniform(0, 0.7))
                passed = self.chance.random() < 0.6
                await self._again(
                    lambda q=quote_id, p=passed: self.street.look(rfq_id, "CEDAR", q, passed=p)
                )

    async def _accept(self, rfq_id: str, quote_id: str, version: int, key: str, user: str) -> None:
        answer = await self._again(
            lambda: self.street.accept(rfq_id, quote_id, version=version, key=key, user=user)
        )
        if answer is not None:
            self._note(rfq_id, key, answer)
            if answer.reject is None:
                self.seen.accepted.append(rfq_id)

    def _note(self, rfq_id: str, key: str, answer: Answer) -> None:
        known = self.seen.answered.setdefault((rfq_id, key), answer.pack())
        assert known == answer.pack(), f"{key}: another answer to the same key"

    async def _again(self, call: Any) -> Any:
        """As a client does: the same request with the same key until there is an answer."""
        for _ in range(40):
            try:
                return await call()
            except Coded as refused:
                if refused.code not in ("SYS-900", "SYS-902", "SYS-901", "API-103"):
                    return None
                self.seen.counts[refused.code] += 1
            except NotOwner:
                self.seen.counts["owner changed"] += 1
            await asyncio.sleep(self.chance.uniform(0.05, 0.4))
        raise AssertionError("no answer after forty tries")


def quote_id_is_looked_at(state: Rfq, quote_id: str) -> bool:
    line = state.line(quote_id)
    return line is not None and line.quote.lp_id == CEDAR.lp_id


# -- what must hold -------------------------------------------------------------------------------


async def check(history: History) -> None:
    """Every invariant, over the log and the states of a quiet system."""
    logs = {
        topic: [r for n in range(8) for r in await _all(history.bus, topic, n)]
        for topic in ("rfq.lifecycle", "rfq.quotes", "execution.trades")
    }
    lifecycle, trades = logs["rfq.lifecycle"], logs["execution.trades"]
    _sequences(logs)
    by_rfq: dict[str, list[Any]] = defaultdict(list)
    for record in lifecycle:
        by_rfq[record.entity].append(decode(record.body)[1])
    traded = Counter(decode(r.body)[1].trade.rfq_id for r in trades)
    for rfq_id, events in by_rfq.items():
        _one_rfq(history, rfq_id, events, traded[rfq_id])
    assert set(traded) <= set(by_rfq), "a trade without an RFQ"
    for (rfq_id, key), _ in history.seen.answered.items():
        assert rfq_id in by_rfq, f"acknowledged and lost: {key}"
    for rfq_id in history.seen.accepted:
        assert any(isinstance(x, e.QuoteAccepted) for x in by_rfq[rfq_id]), "a lost accept"
    await _states_follow_from_the_log(history, logs)


async def _all(bus: MemoryBus, topic: str, part: int) -> list[Any]:
    return list(await bus.read(topic, part, 0, 100_000))


def _sequences(logs: dict[str, list[Any]]) -> None:
    for topic, records in logs.items():
        count: Counter[tuple[str, str]] = Counter()
        ids = Counter(r.event_id for r in records)
        assert not [i for i, n in ids.items() if n > 1], f"{topic}: an event twice"
        for record in records:
            count[record.tenant, record.entity] += 1
            assert record.seq == count[record.tenant, record.entity], f"{topic}: a gap"


def _one_rfq(history: History, rfq_id: str, events: list[Any], trades: int) -> None:
    final = [x for x in events if _is_final(x)]
    assert len(final) <= 1, f"{rfq_id}: accepted for good more than once"
    assert trades == len(final), f"{rfq_id}: {trades} trades for {len(final)} final accepts"
    assert sum(isinstance(x, e.RFQTraded) for x in events) == trades
    created = events[0]
    assert isinstance(created, e.RFQCreated)
    over = None
    for event in events:
        assert over is None, f"{rfq_id}: {type(event).__name__} after {over}"
        if isinstance(event, e.QuoteAccepted):
            assert event.at < created.terms.expires_at, f"{rfq_id}: accepted after its time"
            assert event.at < event.quote.expires_at, f"{rfq_id}: a dead quote was accepted"
        ends = (e.RFQTraded, e.RFQExpired, e.RFQCancelled, e.RFQRejected, e.RFQDenied)
        if isinstance(event, ends):
            over = type(event).__name__
            history.seen.counts[over] += 1
    assert over is not None, f"{rfq_id} never ended"


def _is_final(event: Any) -> bool:
    return isinstance(event, e.LastLookPassed) or (
        isinstance(event, e.QuoteAccepted) and event.final
    )


async def _states_follow_from_the_log(history: History, logs: dict[str, list[Any]]) -> None:
    """Each state's public version is the number of its lifecycle events, its revision all of
    them."""
    lifecycle = Counter(r.entity for r in logs["rfq.lifecycle"])
    quotes = Counter(decode(r.body)[1].rfq_id for r in logs["rfq.quotes"])
    for (service, _, entity), (_, snapshot) in history.store.states.items():
        if service == "rfq":
            state = RfqAggregate().load(snapshot)
            assert state.version == lifecycle[entity]
            assert state.revision == lifecycle[entity] + quotes[entity] == snapshot.version


# -- the runs -------------------------------------------------------------------------------------


def play(seed: int, **aggregates: Any) -> Seen:
    return run(lambda clock: History(clock, seed, **aggregates).play())


def _histories(first: int, count: int) -> Counter[str]:
    total: Counter[str] = Counter()
    for seed in range(first, first + count):
        try:
            seen = play(seed)
        except BaseException as broken:
            broken.add_note(f"seed {seed}")
            raise
        total += seen.counts
        total["acknowledged"] += len(seen.answered)
    for needed in (
        "RFQTraded",
        "RFQExpired",
        "RFQCancelled",
        "copies killed",
        "lost before the commit",
        "lost after the commit",
        "acknowledged",
    ):
        assert total[needed], f"nothing of {needed} ever happened: {total}"
    print(dict(total))
    return total


@pytest.mark.timeout(600)
def test_forty_histories() -> None:
    _histories(0, 40)


@pytest.mark.slow
@pytest.mark.timeout(1_800)
def test_two_thousand_histories() -> None:
    _histories(1_000, 2_000)


def test_a_history_is_the_same_every_time() -> None:
    def fingerprint() -> str:
        marks = []

        async def history(clock: VirtualClock) -> None:
            story = History(clock, 7)
            await story.play()
            for head, lines in sorted(story.store.log.items()):
                marks.append(repr((head, [(x.record.event_id, x.record.at) for x in lines])))

        run(history)
        return hashlib.blake2b("".join(marks).encode()).hexdigest()

    assert fingerprint() == fingerprint()


# -- planted bugs ---------------------------------------------------------------------------------


class AcceptsTwice(RfqAggregate):
    """Forgets that a quote was accepted, and makes a new trade of it."""

    def decide(self, state: Rfq | None, command: Order, context: Context) -> Decided[Rfq]:
        if isinstance(command.command, c.AcceptQuote) and state and state.acceptance:
            state = replace(state, acceptance=None, status=type(state.status).QUOTING)
            fresh = replace(command.command, version=state.version)
            command = replace(command, command=fresh)
        return super().decide(state, command, context)


class ForgetsTrades(TradeAggregate):
    """Hears of every third accept without making its trade."""

    heard = 0

    def decide(
        self, state: Trade | None, command: ExecuteTrade, context: Context
    ) -> Decided[Trade]:
        ForgetsTrades.heard += 1
        if ForgetsTrades.heard % 3 == 0:
            return Decided(None)
        return super().decide(state, command, context)


class ForgetsKeys(RfqAggregate):
    """Does not keep its answers: a retry is decided anew."""

    def decide(self, state: Rfq | None, command: Order, context: Context) -> Decided[Rfq]:
        return replace(super().decide(state, command, context), stored=None)


class NeverExpires(RfqAggregate):
    """Sets no timers."""

    def dump(self, state: Rfq) -> Any:
        return replace(super().dump(state), deadline=None)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("bug", [AcceptsTwice, ForgetsKeys, NeverExpires, ForgetsTrades])
def test_a_planted_bug_is_found(bug: type) -> None:
    kind = "trade" if issubclass(bug, TradeAggregate) else "rfq"
    for seed in range(40):
        try:
            play(seed, **{kind: bug()})
        except Exception:
            return
    raise AssertionError(f"{bug.__name__} was not found in forty histories")
