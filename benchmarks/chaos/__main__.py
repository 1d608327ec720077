"""`orion chaos`: starts a platform of its own, deals on it, hurts it again and again, and compares
what clients were told with what happened. Loopback only; bounded; stops by itself.

    ./orion chaos --short          what continuous integration runs: 30 kills
    ./orion chaos --long           the long one: 200 kills, 100,000 acknowledged commands
    ./orion chaos --kills 10 --others 0 --acked 2000 --only rfq,postgres
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import uvloop

from benchmarks.chaos.run import Plan, run
from benchmarks.harness import RESULTS

SHORT = {"kills": 30, "others": 10, "acked": 20_000, "minutes": 10.0}
LONG = {"kills": 200, "others": 60, "acked": 100_000, "minutes": 120.0}


def plan_of(argv: list[str]) -> Plan:
    """The options of a run."""
    parser = argparse.ArgumentParser(
        prog="orion chaos",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--short", action="store_true", help=f"{SHORT}")
    size.add_argument("--long", action="store_true", help=f"{LONG}")
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
    parser.add_argument("--processes", default="per-service", help="grouping of the platform")
    parser.add_argument("--copies", type=int, default=1, help="copies of each process")
    parser.add_argument("--workers", type=int, default=16, help="users who deal at a time")
    parser.add_argument("--seed", type=int, default=1, help="of the load and of the faults' order")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for the result")
    given = parser.parse_args(argv)
    usual = LONG if given.long else SHORT
    return Plan(
        kills=usual["kills"] if given.kills is None else given.kills,
        others=usual["others"] if given.others is None else given.others,
        acked=usual["acked"] if given.acked is None else given.acked,
        minutes=usual["minutes"] if given.minutes is None else given.minutes,
        only=tuple(filter(None, given.only.split(","))),
        kinds=tuple(filter(None, given.kinds.split(","))),
        profile=given.profile,
        processes=given.processes,
        copies=given.copies,
        workers=given.workers,
        seed=given.seed,
        results=given.results,
    )


def main(argv: list[str]) -> int:
    """The exit code: 0 all held, 1 something did not, or too little happened."""
    return uvloop.run(run(plan_of(argv)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
