"""The real platform as a process of its own, started the way a user starts it, on a free port with
a fresh data folder.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx

from orion.platform.config import CHECKOUT

START_S = 90
STOP_S = 30


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


class Platform:
    """`with Platform() as p`: running and ready; stopped and removed at the end."""

    def __init__(self, *arguments: str, **environment: str):
        self.port = free_port()
        self.root = Path(tempfile.mkdtemp(prefix="orion-e2e-"))
        self.arguments, self.process = arguments, None
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(CHECKOUT / "src"),
            "ORION_PORT": str(self.port),
            "ORION_DATA_DIR": str(self.root / "data"),
            **environment,
        }

    @property
    def base(self) -> str:
        """The public address."""
        return f"http://localhost:{self.port}"

    def start(self) -> None:
        """Starts and waits, bounded, until everything is ready."""
        with (self.root / "up.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "orion.app.cli", "up", *self.arguments],
                cwd=CHECKOUT,
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        end = time.monotonic() + START_S
        while time.monotonic() < end:
            assert self.process.poll() is None, self.said()
            try:
                if httpx.get(f"{self.base}/readyz", timeout=2).status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.1)
        raise AssertionError(f"not ready in {START_S} s:\n{self.said()}")

    def said(self) -> str:
        """What it printed."""
        return (self.root / "up.log").read_text()

    def logs(self) -> str:
        """What its processes logged."""
        found = sorted((self.root / "data" / "logs").glob("*.log"))
        return "\n".join(p.read_text(errors="replace") for p in found)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Another command of the same platform."""
        return subprocess.run(
            [sys.executable, "-m", "orion.app.cli", *arguments],
            cwd=CHECKOUT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def token(self, user: str) -> str:
        """A bearer token of a demo user."""
        done = self.run("token", user)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def stop(self) -> None:
        """Ctrl-C, and waits until all is down."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(STOP_S)

    def __enter__(self) -> Platform:
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.stop()
        finally:
            shutil.rmtree(self.root, ignore_errors=True)
