"""No log line shows the values of variables: they may be secrets."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
from orion.platform import telemetry
{configure}
def sign(token):
    raise ValueError("it failed here")
try:
    sign("hid" + "den-value")
except ValueError as error:
    telemetry.log.error("a call failed", exc_info=error)
"""


@pytest.mark.parametrize("configure", ["", "telemetry.configure('test')"], ids=["before", "after"])
def test_a_traceback_shows_no_variables(configure: str) -> None:
    program = PROGRAM.format(configure=configure)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    told = done.stdout + done.stderr
    assert "it failed here" in told and "Traceback" in told
    assert "hidden-value" not in told
