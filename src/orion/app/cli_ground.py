"""What every verb of the command line stands on: settings, a loop to run in, and how it fails."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import typer
from rich.console import Console

from orion.platform.config import ConfigError, Settings
from orion.platform.datadir import StartError, explain
from orion.platform.errors import Coded
from orion.platform.supervise import EX_CONFIG

FAILED, NOT_THERE, INTERRUPTED = 1, 2, 130
errors = Console(stderr=True, highlight=False)

DataDir = Annotated[
    Path | None, typer.Option("--data-dir", help="Where data, secrets and logs lie.")
]


def fail(text: str, code: int = FAILED) -> NoReturn:
    """Ends the program with a sentence."""
    errors.print(text, markup=False, soft_wrap=True)
    raise SystemExit(code)


T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    """Runs a verb; what is wrong comes out as a sentence."""
    import uvloop

    try:
        return uvloop.run(work)
    except ConfigError as error:
        fail(str(error), EX_CONFIG)
    except StartError as error:
        fail(str(error), error.exit_code)
    except Coded as error:
        fail(str(error))
    except OSError as error:
        fail(str(explain(error, str(error.filename or "a file"))))
    except (KeyboardInterrupt, asyncio.CancelledError):
        fail("Stopped before it was done.", INTERRUPTED)


def settings_with(**flags: Any) -> Settings:
    """The settings of this call. Ends the program when they cannot be used."""
    try:
        return Settings(flags=flags)
    except ConfigError as error:
        fail(str(error), EX_CONFIG)
