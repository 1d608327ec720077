"""`orion restored`: after a database was put back to before."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orion.app.cli_ground import FAILED, DataDir, run, settings_with


def restored(
    apply: Annotated[
        bool,
        typer.Option("--apply/--check", help="Declare what is lost, so that the log goes on."),
    ] = False,
    evidence: Annotated[
        Path | None, typer.Option(help="Write what Kafka holds of it here, a record a line.")
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """After a database was restored: compare its log with Kafka, archive and audit; 1 if behind."""
    from orion.app.restored import restored as work

    settings = settings_with(data_dir=data_dir)
    told = run(work(settings, apply=apply, evidence=evidence))
    for gap in told.gaps:
        print(gap)
    for kind, count in told.types.most_common():
        print(f"Kafka holds {count} {kind} of what is lost or was abandoned before")
    if evidence is not None:
        print(f"{told.written} records written to {evidence}.")
    if told.is_done:
        print("Declared: the log goes on above all of it. Start the platform.")
    elif told.gaps:
        print("Nothing was changed. `orion restored --apply` declares these records abandoned.")
        raise SystemExit(FAILED)
    else:
        print("Nobody knows more than the log: nothing is to be done.")
