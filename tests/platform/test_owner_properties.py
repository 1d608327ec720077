"""Properties of the owner over the memory store (the same Owner code): whatever fails and whenever,
acknowledged means once.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orion.platform.bus.memory import MemoryBus
from orion.platform.clock import SystemClock
from orion.platform.errors import Coded, NotOwner
from orion.platform.store.memory import MemoryStore
from orion.platform.store.port import Batch, DiskFull, OutcomeUnknown, Refused
from orion.platform.transact import Key, Limits, Owner
from tests.platform.toy import TOPICS, Add, Ask, End, Explode, ToyAggregate, entity


@pytest.fixture(scope="module", autouse=True)
def quiet() -> Iterator[None]:
    """Thousands of ordered bugs need not be told each with its trace."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()


FAULTS = ("none", "lost before", "lost after", "refused", "full")


@dataclass(frozen=True)
class Step:
    kind: str
    who: int
    key: int | None
    notes: int


steps = st.lists(
    st.builds(
        Step,
        st.sampled_from(["add", "add", "add", "end", "ask", "explode", "wait", "restart"]),
        st.integers(0, 3),
        st.none() | st.integers(0, 5),
        st.integers(0, 2),
    ),
    max_size=40,
)
faults = st.lists(st.sampled_from(FAULTS), max_size=30)


class Run:
    """One history."""

    def __init__(self, plan: list[str]) -> None:
        self.store = MemoryStore(SystemClock())
        self.bus = MemoryBus(self.store, TOPICS)
        self.plan = iter(plan)
        self.store.before, self.store.after = self._before, self._after
        self._fault = "none"
        self.acked: list[tuple[Step, object]] = []
        self.unsure = 0
        self.tasks: list[asyncio.Task[None]] = []

    def _before(self, _batch: Batch) -> None:
        self._fault = next(self.plan, "none")
        match self._fault:
            case "lost before":
                raise OutcomeUnknown
            case "refused":
                raise Refused("a reason without a name")
            case "full":
                raise DiskFull

    def _after(self, _batch: Batch) -> None:
        if self._fault == "lost after":
            raise OutcomeUnknown

    async def start(self) -> None:
        self.owner = Owner(
            ToyAggregate(), self.store, self.bus, SystemClock(), partitions=8, address="o",
            limits=Limits(pace_ms=0, timeout_s=5),
        )  # fmt: skip
        self.running = asyncio.create_task(self.owner.run())
        while self.owner.ready():
            await asyncio.sleep(0)

    async def stop(self) -> None:
        self.running.cancel()
        await asyncio.gather(self.running, return_exceptions=True)

    async def one(self, step: Step) -> None:
        name = entity(step.who)
        commands = {
            "add": Add(name, 1, step.notes),
            "end": End(),
            "ask": Ask(),
            "explode": Explode(),
        }
        key = None
        if step.key is not None:
            key = Key("s", step.kind, f"{step.key}-{step.who}", bytes([step.notes]))
        try:
            reply = await self.owner.submit("alpha", name, commands[step.kind], key)
            self.acked.append((step, reply))
        except (Coded, NotOwner) as error:
            self.unsure += isinstance(error, Coded) and error.code == "SYS-902"


async def history(plan: list[str], todo: list[Step]) -> Run:
    run = Run(plan)
    await run.start()
    for step in todo:
        if step.kind == "restart":
            await run.stop()
            await run.start()
        elif step.kind == "wait":
            await asyncio.gather(*run.tasks)
        else:
            run.tasks.append(asyncio.create_task(run.one(step)))
            await asyncio.sleep(0)
    await asyncio.gather(*run.tasks)
    await run.stop()
    return run


def sound(run: Run) -> None:
    store = run.store
    counts: Counter[str] = Counter()
    sequences: dict[tuple[str, str], int] = {}
    for (topic, part), lines in store.log.items():
        assert [x.record.offset for x in lines] == list(range(len(lines)))
        assert store.heads[topic, part].next == len(lines)
        assert [x.record.at for x in lines] == sorted(x.record.at for x in lines)
        for line in lines:
            r = line.record
            assert r.seq == sequences.get((topic, r.entity), 0) + 1
            sequences[topic, r.entity] = r.seq
            counts[line.root or r.entity] += 1
    for (_, _, name), (_, snapshot) in store.states.items():
        assert snapshot.version == counts.pop(name)
    assert not counts


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(faults, steps)
def test_acknowledged_means_once_whatever_fails(plan: list[str], todo: list[Step]) -> None:
    run = asyncio.run(history(plan, todo))
    sound(run)
    # Each acknowledged addition without a repeated key is an event of its own, and there are no
    # others.
    keyed = {
        (s.kind, s.key, s.who)
        for s, r in run.acked
        if s.key is not None and "total" in r and s.kind == "add"
    }
    free = sum(1 for s, r in run.acked if s.kind == "add" and s.key is None and "version" in r)
    added = sum(
        x.record.type == "Added"
        for (t, _), lines in run.store.log.items()
        for x in lines
        if t == "toy.events"
    )
    ended = {(s.kind, s.key, s.who) for s, r in run.acked if s.key is not None and "error" in r}
    assert added == free + len(keyed - ended)
    # The same key always had the same answer.
    answers: dict[tuple[str, int, int, int], object] = {}
    for step, reply in run.acked:
        if step.key is not None and step.kind in ("add", "end"):
            name = (step.kind, step.key, step.who, step.notes)
            assert answers.setdefault(name, reply) == reply


def test_the_property_can_fail() -> None:
    """A store that commits twice what was lost once is found out."""
    run = asyncio.run(history([], [Step("add", 0, None, 0), Step("wait", 0, None, 0)]))
    lines = run.store.log["toy.events", int(entity(0)[:4], 16) % 8]
    lines.append(lines[0])
    try:
        sound(run)
    except AssertionError:
        return
    raise AssertionError("a doubled record was not noticed")
