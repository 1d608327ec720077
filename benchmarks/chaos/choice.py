"""Which faults a run does, in which order."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from benchmarks.chaos.faults import Fault, Kill, Pause, Slow
from benchmarks.chaos.faults_copies import Late, Orphan, Restart
from benchmarks.chaos.faults_inside import ANSWERS, EDGES, HEARERS, OWNERS, Crash, Lost, Skew, Twist
from benchmarks.chaos.faults_servers import Disconnect, Freeze, LongTransaction, Outage
from benchmarks.chaos.target import Target, base

SERVERS = ("kafka", "redis")  # nobody but we start them again
OVER_LEASE_S = 3.0  # longer than an owner's lease: who stands so long is no owner any more
KINDS = (
    "kill", "crash", "stop", "slow", "skew", "server", "lost", "twist", "late", "restart",
)  # fmt: skip


def every(target: Target, kinds: Sequence[str] = (), only: Sequence[str] = ()) -> list[Fault]:
    """Each fault that can be done to it, once. Raises SystemExit for a name that is none."""
    wanted = kinds or KINDS
    if strange := set(wanted) - set(KINDS):
        raise SystemExit(f"There is no kind {', '.join(strange)}. Known: {', '.join(KINDS)}.")
    names = sorted(target.processes())
    if strange := set(only) - set(names):
        raise SystemExit(f"Nothing is called {', '.join(strange)}. Known: {', '.join(names)}.")
    victims = [name for name in names if not only or name in only]
    found: list[Fault] = []
    for victim in victims:
        services = target.services().get(base(victim), ())
        owner = len(services) == 1 and base(victim) in OWNERS
        shared = owner and target.settings.platform.copies > 1
        of_one: dict[str, Iterable[Fault]] = {
            "kill": [] if victim in SERVERS else [Kill(victim)],
            "server": _servers(victim),
            "stop": _stops(victim, services),
            "slow": [Slow(victim)] if services else [],
            "crash": [Crash(victim, edge) for edge in _edges(services, EDGES)],
            "skew": [Skew(victim, s) for s in (3.0, -3.0) if owner],
            "lost": [Lost(victim, edge) for edge in _edges(services, ANSWERS)],
            "twist": [Twist(victim)] if set(services) & set(HEARERS) else [],
            "late": [Late(victim), Orphan(victim)] if shared else [],
        }
        for kind in wanted:
            found += of_one.get(kind, ())
    if "restart" in wanted and target.settings.platform.copies > 1 and not only:
        found.append(Restart())
    return found


def _servers(victim: str) -> list[Fault]:
    if victim == "postgres":
        return [Freeze(), Disconnect(), LongTransaction()]
    if victim in SERVERS:
        return [Outage(victim, how) for how in ("kill -9", "stop", "SIGSTOP")]
    return []


def _stops(victim: str, services: Sequence[str]) -> list[Fault]:
    if not services:
        return []
    owns = any(service in OWNERS for service in services)
    return [Pause(victim), *([Pause(victim, OVER_LEASE_S)] if owns else [])]


def _edges(services: Sequence[str], edges: Mapping[str, Sequence[str]]) -> list[str]:
    """In a process of many services an edge is passed by whoever comes first."""
    return list(dict.fromkeys(edge for service in services for edge in edges.get(service, ())))


def is_death(fault: Fault) -> bool:
    """Whether a process ends by it with SIGKILL."""
    return isinstance(fault, Kill | Crash | Orphan)


def chosen(possible: Sequence[Fault], *, kills: int, others: int, seed: int) -> list[Fault]:
    """So many deaths and so many others, each kind in turn and none left out, mixed."""
    chance = random.Random(seed)
    deaths = [fault for fault in possible if is_death(fault)]
    rest = [fault for fault in possible if not is_death(fault)]
    found = [*_rounds(deaths, kills, chance), *_rounds(rest, others, chance)]
    chance.shuffle(found)
    return found


def _rounds(faults: Sequence[Fault], count: int, chance: random.Random) -> list[Fault]:
    found: list[Fault] = []
    while faults and len(found) < count:
        # In each round one of each kind comes before a second of any: a short run has all kinds.
        before: Counter[type] = Counter()
        placed: list[tuple[int, int, Fault]] = []
        for number, fault in enumerate(chance.sample(list(faults), len(faults))):
            placed.append((before[type(fault)], number, fault))
            before[type(fault)] += 1
        found += [fault for *_, fault in sorted(placed, key=lambda p: p[:2])]
    return found[:count]
