"""`orion chaos`: starts a platform of its own, deals on it, hurts it again and again, and compares
what clients were told with what happened. Loopback only; bounded; stops by itself.

    ./orion chaos --short          what continuous integration runs: 30 kills
    ./orion chaos --long           the long one: 200 kills, 100,000 acknowledged commands, in three
                                   legs: few processes, one for each service, two for each
    ./orion chaos --kills 10 --others 0 --acked 2000 --only rfq,postgres
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import uvloop

from benchmarks.chaos.report import keep
from benchmarks.chaos.run import Plan, run, stamp
from benchmarks.harness import RESULTS

SHORT = {"kills": 30, "others": 10, "acked": 20_000, "minutes": 10.0}
# Few processes deal fastest, many can be hurt in most ways, and what two copies do is their own.
LONG: tuple[dict[str, Any], ...] = (
    {
        "processes": "default", "workers": 32,
        "kills": 60, "others": 20, "acked": 65_000, "minutes": 22.0,
    },
    {"workers": 24, "kills": 90, "others": 40, "acked": 23_000, "minutes": 14.0},
    {"copies": 2, "kills": 50, "others": 40, "acked": 12_000, "minutes": 14.0},
)  # fmt: skip


def plans_of(argv: list[str]) -> tuple[list[Plan], Path]:
    """The runs that are wanted, one after the other, and where their results go."""
    parser = argparse.ArgumentParser(
        prog="orion chaos",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--short", action="store_true", help=f"{SHORT}")
    size.add_argument("--long", action="store_true", help="three legs: see above")
    parser.add_argument("--kills", type=int, help="so many times a process dies by SIGKILL")
    parser.add_argument("--others", type=int, help="so many other faults")
    parser.add_argument("--acked", type=int, help="so many acknowledged commands at least")
    parser.add_argument("--minutes", type=float, help="after so many the run ends, red if it must")
    parser.add_argument("--only", default="", help="victims, with commas (default: all)")
    parser.add_argument("--kinds", default="", help="kinds of faults, with commas (default: all)")
    parser.add_argument(
        "--profile",
        default="embedded",
        choices=("embedded", "cluster"),
        help="cluster: on Kafka, Redis and S3 of its own (./orion setup --cluster)",
    )
    parser.add_argument("--processes", help="grouping of the platform (per-service)")
    parser.add_argument("--copies", type=int, help="copies of each process (1)")
    parser.add_argument("--workers", type=int, help="users who deal at a time (16)")
    parser.add_argument("--seed", type=int, default=1, help="of the load and of the faults' order")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for the result")
    given = parser.parse_args(argv)
    legs = LONG if given.long else (SHORT,)
    return [_plan(given, leg) for leg in legs], given.results


def _plan(given: argparse.Namespace, usual: Mapping[str, Any]) -> Plan:
    said = {name: value for name, value in vars(given).items() if value is not None}
    wanted = {"processes": "per-service", "copies": 1, "workers": 16, **usual, **said}
    return Plan(
        kills=wanted["kills"],
        others=wanted["others"],
        acked=wanted["acked"],
        minutes=wanted["minutes"],
        only=tuple(filter(None, given.only.split(","))),
        kinds=tuple(filter(None, given.kinds.split(","))),
        profile=given.profile,
        processes=wanted["processes"],
        copies=wanted["copies"],
        workers=wanted["workers"],
        seed=given.seed,
    )


def main(argv: list[str]) -> int:
    """The exit code: 0 all held, 1 something did not, or too little happened."""
    plans, results = plans_of(argv)
    legs = [uvloop.run(run(plan)) for plan in plans]
    results.mkdir(parents=True, exist_ok=True)
    return keep(results / f"chaos-{stamp(legs[0])}.json", legs)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
