"""Market data end to end on a real PostgreSQL: what feeds say, what lies on the bus, what is asked
back.
"""

from __future__ import annotations

import asyncio
import csv
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc
import pytest

from orion.core.ticks import Flag, Tick
from orion.platform.cache.memory import MemoryCache
from orion.services.marketdata_projection import queries, subscribers
from orion.services.marketdata_projection.projector import SPACE
from orion.wire.envelope import decode
from orion.wire.stubs import marketdata_pb2, reference_pb2
from tests.postgres import Server, TestDatabase
from tests.services.edge_world import until
from tests.services.market_stack import Stack, running
from tests.services.market_world import RECORDING, seeds

MIGRATIONS = ("0001", "0003", "0008", "0009", "0011")
SNAPSHOT, FEED = marketdata_pb2.SnapshotRequest, marketdata_pb2.FeedStatusRequest


@pytest.fixture
async def db(postgres: Server) -> AsyncIterator[TestDatabase]:
    async with postgres.database(*MIGRATIONS) as made:
        yield made


async def everything(stack: Stack, topic: str) -> list[tuple[Any, Any]]:
    """All events of a topic."""
    found: list[tuple[Any, Any]] = []
    for part in await stack.ports.bus.ends(topic):
        offset = 0
        while records := await stack.ports.bus.read(topic, part, offset):
            found += [decode(r.body) for r in records]
            offset = records[-1].offset + 1
    return found


async def test_seeds_become_events_once(db: TestDatabase) -> None:
    known = seeds()
    total = len(known.instruments) + len(known.venues) + len(known.dealers)
    for _ in range(2):
        async with running(db, names=("reference",)) as stack:
            assert await stack.counts("admin.changes") == total
            answer = await stack.reference.ListInstruments(
                reference_pb2.ListInstrumentsRequest(), metadata=stack.as_service()
            )
            assert [i.instrument_id for i in answer.instruments] == [
                i.instrument_id for i in known.instruments
            ]

            async def rows(stack: Stack = stack) -> int:
                async with stack.ports.database.read("alpha") as sql:
                    return await sql.fetchval("select count(*) from reference.instruments")

            async with asyncio.timeout(10):
                while await rows() < len(known.instruments):
                    await asyncio.sleep(0.01)
    async with running(db, names=("reference",)) as stack:
        ids = [e.event_id for e, _ in await everything(stack, "admin.changes")]
        assert len(set(ids)) == total


async def test_a_lost_projection_does_not_repeat_events(db: TestDatabase) -> None:
    async with running(db, names=("reference",)) as stack:
        before = await stack.counts("admin.changes")
        async with stack.ports.database.write("reference", ["shared"]) as sql:
            await sql.execute("delete from reference.instruments")
    async with running(db, names=("reference",)) as stack:
        assert await stack.counts("admin.changes") == before


async def test_users_see_what_they_are_entitled_to(db: TestDatabase) -> None:
    async with running(db, names=("reference",)) as stack:
        me = stack.as_user(roles=["ROLE_TRADER"])  # entitled to FX
        answer = await stack.reference.ListInstruments(
            reference_pb2.ListInstrumentsRequest(), metadata=me
        )
        assert {i.asset_class for i in answer.instruments} == {"FX"}
        assert all(i.settlement_date > "2026-01-01" for i in answer.instruments)
        dealers = await stack.reference.ListDealers(reference_pb2.ListDealersRequest(), metadata=me)
        assert not [i for d in dealers.dealers for i in d.instrument_ids if i.startswith("UST")]
        corvid = next(d for d in dealers.dealers if d.lp_id == "CORVID")
        assert not corvid.enabled and corvid.reason
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stack.reference.ListDealers(
                reference_pb2.ListDealersRequest(), metadata=stack.as_user(roles=["ROLE_PLATFORM"])
            )
        assert dict(refused.value.trailing_metadata())["orion-code"] == "AUTH-103"


async def test_simulated_ticks_reach_snapshot_stream_and_history(db: TestDatabase) -> None:
    async with running(
        db, ingest={"rate": 300.0}, projection={"store_ms": 100, "bar_s": 1}
    ) as stack:
        call = stack.market.StreamTicks(
            marketdata_pb2.TickSubscription(), metadata=stack.as_service()
        )
        first = await call.read()
        assert first.snapshot
        seen: Counter[str] = Counter()
        beats: set[str] = set()
        async with asyncio.timeout(20):
            while len(seen) < len(seeds().instruments) or not beats or sum(seen.values()) < 500:
                batch = await call.read()
                seen.update(t.instrument_id for t in batch.ticks)
                beats |= {b.instrument_id for b in batch.heartbeats}
        call.cancel()
        me = stack.as_user()
        answer = await stack.market.GetSnapshot(SNAPSHOT(), metadata=me)
        assert answer.served_from == "cache"
        assert {t.instrument_id for t in answer.ticks} == {
            i.instrument_id for i in seeds().instruments if i.asset_class.value == "FX"
        }
        eur = next(t for t in answer.ticks if t.instrument_id == "EURUSD")
        assert eur.source == "SIM" and float(eur.bid) < float(eur.ask) and eur.heartbeat_at_us
        assert float(eur.day_low) <= float(eur.mid) <= float(eur.day_high)
        async with asyncio.timeout(20):
            bars: list[Any] = []
            while len(bars) < 3:
                history = await stack.market.GetHistory(
                    marketdata_pb2.HistoryRequest(instrument_id="EURUSD", minutes=5), metadata=me
                )
                bars = list(history.bars)
                await asyncio.sleep(0.05)
        assert [b.at_us for b in bars] == sorted({b.at_us for b in bars})
        assert all(float(b.low) <= float(b.mid) <= float(b.high) and b.ticks for b in bars)
        with pytest.raises(grpc.aio.AioRpcError) as hidden:
            await stack.market.GetHistory(
                marketdata_pb2.HistoryRequest(instrument_id="UST10Y"), metadata=me
            )
        assert dict(hidden.value.trailing_metadata())["orion-code"] == "MD-402"
        told = await stack.market.GetFeedStatus(FEED(), metadata=me)
        assert (told.mode, told.scenario, told.seed) == ("SIM", "calm", 4711)
        # Raw ticks stay on the bus, numbered without a gap per instrument.
        numbers: dict[str, list[int]] = {}
        for envelope, _ in await everything(stack, "marketdata.ticks"):
            numbers.setdefault(envelope.entity.entity_id, []).append(envelope.entity.sequence)
        assert all(sorted(n) == list(range(1, len(n) + 1)) for n in numbers.values())
        assert sum(map(len, numbers.values())) >= sum(seen.values())


class Forgetful(MemoryCache):
    """A cache that gives an old memory once it has one, whatever is written."""

    old: dict[str, bytes] | None = None

    async def get(self, space: str, keys: Sequence[str]) -> dict[str, bytes]:
        """As the port says."""
        if self.old is None:
            return await super().get(space, keys)
        return {key: self.old[key] for key in keys if key in self.old}


async def test_an_old_memory_of_the_cache_hides_no_newer_price(db: TestDatabase) -> None:
    cache = Forgetful()
    async with running(db, ingest={"rate": 100.0}, cache=cache) as stack:
        me, ask = stack.as_user(), SNAPSHOT(instrument_ids=["EURUSD", "GBPUSD"])

        async def newest() -> dict[str, int]:
            answer = await stack.market.GetSnapshot(ask, metadata=me)
            return {tick.instrument_id: tick.timestamp_us for tick in answer.ticks}

        async with asyncio.timeout(20):
            while len(before := await cache.all(SPACE)) < 2 or not {*ask.instrument_ids} <= {
                *before
            }:
                await asyncio.sleep(0.02)
        first = await newest()
        cache.old = before
        async with asyncio.timeout(20):
            while any(at <= first[name] for name, at in (await newest()).items()):
                await asyncio.sleep(0.02)


async def test_a_lost_cache_is_replaced_by_the_tables(db: TestDatabase) -> None:
    async with running(db, ingest={"rate": 100.0}, projection={"store_ms": 100}) as stack:
        me, ask = stack.as_user(), SNAPSHOT(instrument_ids=["EURUSD", "GBPUSD"])

        async def saved() -> bool:
            return len(await queries.snapshot(stack.ports.database)) == len(seeds().instruments)

        async with asyncio.timeout(20):
            while not await saved():
                await asyncio.sleep(0.02)
        stack.cache.fail(True)
        answer = await stack.market.GetSnapshot(ask, metadata=me)
        assert answer.served_from == "store" and len(answer.ticks) == 2
        stack.cache.fail(False)
        async with asyncio.timeout(20):
            while (await stack.market.GetSnapshot(ask, metadata=me)).served_from != "cache":
                await asyncio.sleep(0.02)
    # And after a restart without any feed the last prices are there.
    async with running(db, names=("reference", "marketdata_projection")) as stack:
        answer = await stack.market.GetSnapshot(ask, metadata=stack.as_user())
        assert [t.instrument_id for t in answer.ticks] == ["EURUSD", "GBPUSD"]


async def test_the_whole_recording_is_accounted_for(db: TestDatabase) -> None:
    """20,000 rows in at full speed: each is on the bus, or dropped with a reason. Compared with the
    file itself.
    """
    environment = {"ORION_REPLAY": str(RECORDING), "ORION_SPEED": "max", "ORION_ONCE": "true"}
    async with running(db, environment=environment, ingest={"rate": 1.0}) as stack:
        pulses = stack.feed.WatchFeed(
            marketdata_pb2.WatchFeedRequest(), metadata=stack.as_service()
        )
        async with asyncio.timeout(60):
            async for pulse in pulses:
                status = pulse.status
                accounted = status.published + sum(status.dropped.values())
                if status.finished and accounted == status.received:
                    break
        ticks = [t for _, t in await everything(stack, "marketdata.ticks") if isinstance(t, Tick)]
        replayed = [t for t in ticks if t.source == "REPLAY" and Flag.DERIVED not in t.flags]
        derived = [t for t in ticks if Flag.DERIVED in t.flags]
        with RECORDING.open() as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == 20_000
        dropped = sum(status.dropped.values())
        assert len(replayed) + dropped == 20_000 and dropped == 0
        for pair in ("EUR/USD", "USD/JPY"):
            mine = [t for t in replayed if t.instrument_id == pair.replace("/", "")]
            said = [(r["bid"], r["ask"]) for r in rows if r["pair"] == pair]
            assert [(str(t.bid), str(t.ask)) for t in mine] == said
            stamps = [t.source_timestamp for t in mine]
            assert stamps == sorted(stamps) and stamps[0] is not None  # type: ignore[type-var]
            assert all(t.timestamp > 1_700_000_000_000_000 for t in mine)
        assert {t.instrument_id for t in derived} == {"EURJPY"} and len(derived) == status.derived
        assert len(derived) >= 19_990
        crossed = sum(float(r["bid"]) > float(r["ask"]) for r in rows)
        assert status.crossed == crossed == sum(Flag.CROSSED in t.flags for t in replayed)
        assert set(status.replayed) == {"EURUSD", "USDJPY", "EURJPY"}
        others = {t.instrument_id for t in ticks if t.source == "SIM"}
        assert "GBPUSD" in others and not others & set(status.replayed)
        await until(
            lambda: stack.modules["reference"].rpc[0][1]._known.replayed == set(status.replayed)
        )
        answer = await stack.reference.ListInstruments(
            reference_pb2.ListInstrumentsRequest(), metadata=stack.as_service()
        )
        assert {i.instrument_id for i in answer.instruments if i.source == "REPLAY"} == set(
            status.replayed
        )


@pytest.mark.parametrize(
    "bad", ["ORION_REPLAY=nothere.csv", "ORION_SPEED=fast", "ORION_SPEED=0", "ORION_SCENARIO=storm"]
)
async def test_wrong_settings_are_named(db: TestDatabase, bad: str) -> None:
    from orion.platform.config import ConfigError

    key, _, value = bad.partition("=")
    with pytest.raises(ConfigError, match=key):
        async with running(db, environment={key: value}, names=("reference", "marketdata_ingest")):
            pass


async def test_a_conflated_stream_gets_the_newest_at_its_own_beat(db: TestDatabase) -> None:
    """Two streams of the same ticks: one gets each, the other the newest of each, and both end with
    the same prices.
    """
    async with running(db, ingest={"rate": 500.0}) as stack:
        names = ["EURUSD", "GBPUSD", "USDJPY"]
        raw = stack.market.StreamTicks(
            marketdata_pb2.TickSubscription(instrument_ids=names), metadata=stack.as_service()
        )
        slow = stack.market.StreamTicks(
            marketdata_pb2.TickSubscription(instrument_ids=names, conflate_ms=300),
            metadata=stack.as_service(),
        )
        assert (await raw.read()).snapshot and (await slow.read()).snapshot
        every: dict[str, list[Any]] = {n: [] for n in names}

        async def follow() -> None:
            while True:
                batch = await raw.read()
                for tick in batch.ticks:
                    every[tick.instrument_id].append(tick)

        following = asyncio.create_task(follow())
        batches: list[Any] = []
        async with asyncio.timeout(20):
            while len(batches) < 6:
                batch = await slow.read()
                assert {t.instrument_id for t in batch.ticks} <= set(names)
                assert len({t.instrument_id for t in batch.ticks}) == len(batch.ticks)
                if batch.ticks:
                    batches.append(batch)

        async def is_in_the_other(tick: Any) -> bool:
            return any(
                (t.received_at_us, t.bid, t.ask) == (tick.received_at_us, tick.bid, tick.ask)
                for t in every[tick.instrument_id]
            )

        async with asyncio.timeout(10):
            for tick in batches[-1].ticks:
                while not await is_in_the_other(tick):
                    await asyncio.sleep(0.01)
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        raw.cancel()
        slow.cancel()
        # Most were not sent, and all are counted.
        assert sum(b.taken for b in batches) > 2 * sum(len(b.ticks) for b in batches)
        for name in names:
            mine = [t.received_at_us for b in batches for t in b.ticks if t.instrument_id == name]
            assert mine == sorted(mine)


async def test_who_asks_gets_the_newest_once_for_each_question(
    db: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two who ask at paces of their own: each hears of every instrument that has moved since it
    asked before, and of nothing unasked.
    """
    names = ["EURUSD", "GBPUSD", "USDJPY"]
    demand = marketdata_pb2.TickDemand
    async with running(db, ingest={"rate": 500.0}) as stack:
        projector = stack.modules["marketdata_projection"].rpc[0][1]._projector
        await until(lambda: len(projector.book.names) == len(seeds().instruments), 30)
        quick = stack.market.PullTicks(metadata=stack.as_service())
        slow = stack.market.PullTicks(metadata=stack.as_user())
        await quick.write(demand())
        await slow.write(demand(instrument_ids=[*names, "UST10Y"]))
        first, mine = await quick.read(), await slow.read()
        assert first.snapshot and len(first.ticks) == len(seeds().instruments)
        assert mine.snapshot and {t.instrument_id for t in mine.ticks} == set(names)
        newest = {t.instrument_id: t.received_at_us for t in mine.ticks}
        taken = sent = heard = 0
        async with asyncio.timeout(30):
            while heard < 10:
                # The other asks far more often; what this one gets does not depend on it.
                for _ in range(5):
                    await quick.write(demand())
                    assert not (await quick.read()).snapshot
                await slow.write(demand(patience_ms=20))
                batch = await slow.read()
                got = {t.instrument_id: t.received_at_us for t in batch.ticks}
                assert len(got) == len(batch.ticks) and set(got) <= set(names)
                assert all(at >= newest[name] for name, at in got.items())
                newest.update(got)
                taken, sent, heard = taken + batch.taken, sent + len(got), heard + bool(got)
        assert taken >= sent
        quick.cancel()
        slow.cancel()
        nobody = stack.market.PullTicks(metadata=stack.as_user(roles=["ROLE_NOBODY"]))
        await nobody.write(demand())
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await nobody.read()
        assert dict(refused.value.trailing_metadata())["orion-code"] == "AUTH-103"
        await until(lambda: not len(projector.subscribers))
    # Without a feed nothing moves, and a question is answered all the same.
    monkeypatch.setattr(subscribers, "ANSWER_S", 0.05)
    async with running(db, names=("reference", "marketdata_projection")) as stack:
        call = stack.market.PullTicks(metadata=stack.as_service())
        for n in range(3):
            await call.write(demand())
            async with asyncio.timeout(20):
                batch = await call.read()
            assert batch.snapshot == (n == 0) and (n == 0 or not batch.ticks)
        call.cancel()
