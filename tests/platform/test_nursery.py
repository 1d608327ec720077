"""The nursery over real forks: what a copy is, how it ends, and what holds without a nursery."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from orion.platform.nursery import Born, Nursery, is_possible
from orion.platform.supervise import Spec, Supervisor
from tests.platform.processes import is_gone, until

pytestmark = pytest.mark.skipif(not is_possible(), reason="only Linux knows adoption")

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
TOY = """
import json, os, signal, socket, sys
from orion.platform import cradle

os.environ["SET_BY_AN_IMPORT"] = "kept"

def become(words):
    if words[0] == "tell":
        parent, session = os.getppid(), os.getsid(0) == os.getpid()
        told = [os.environ.get(name) for name in ("MINE", "SET_BY_AN_IMPORT")]
        print(json.dumps([words, parent, session, told, sys.argv]), flush=True)
        return int(words[1])
    if words[0] == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.write(int(os.environ["READY"]), b"ready\\n")
    while True:
        signal.pause()

sys.exit(cradle.attend(socket.socket(fileno=int(sys.argv[1])), become))
"""


@asynccontextmanager
async def nursed(folder: Path, program: str = TOY) -> AsyncIterator[Nursery]:
    command = (sys.executable, "-c", program)
    async with Nursery(command, ENVIRONMENT, folder / "nursery.log") as nursery:
        yield nursery


async def bear(nursery: Nursery, *words: str) -> Born | None:
    """A copy whose being ready nobody awaits."""
    telling = os.open(os.devnull, os.O_WRONLY)
    try:
        command = ("copy", "of", *words)
        environment = {**ENVIRONMENT, "MINE": "yes"}
        return await nursery.bear(command, words, environment, ("READY", telling))
    finally:
        os.close(telling)


async def test_a_copy_is_a_child_of_ours_with_its_own_name_output_and_code(tmp_path: Path) -> None:
    async with nursed(tmp_path) as nursery:
        born = await bear(nursery, "tell", "7")
        assert born is not None
        words, parent, leads, told, argv = json.loads(await born.stdout.readline())
        assert (words, parent, leads) == (["tell", "7"], os.getpid(), True)
        assert told == ["yes", "kept"]
        assert argv == ["copy", "tell", "7"]
        assert await born.wait() == 7
        assert await born.stdout.read() == b""


async def test_a_copy_shows_the_command_line_that_was_asked_for(tmp_path: Path) -> None:
    async with nursed(tmp_path) as nursery:
        born = await bear(nursery, "stay")
        assert born is not None
        copy = psutil.Process(born.pid)
        await until(lambda: copy.cmdline()[:3] == ["copy", "of", "stay"])
        assert copy in psutil.Process().children()
        born.send_signal(signal.SIGKILL)
        assert await born.wait() == -signal.SIGKILL
        assert is_gone(born.pid)
        born.send_signal(signal.SIGKILL)


async def test_copies_outlive_a_killed_nursery_which_is_back_by_itself(tmp_path: Path) -> None:
    async with nursed(tmp_path) as nursery:
        first = await bear(nursery, "stay")
        before = nursery.pid
        assert first is not None
        assert before is not None
        os.kill(before, signal.SIGKILL)
        await until(lambda: nursery.pid not in (None, before))
        second = await bear(nursery, "stay")
        assert second is not None
        assert first.returncode is None
        for copy in (first, second):
            copy.send_signal(signal.SIGKILL)
            assert await copy.wait() == -signal.SIGKILL


async def test_a_nursery_that_hangs_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orion.platform.nursery.FORK_S", 0.2)
    async with nursed(tmp_path) as nursery:
        await until(lambda: nursery.pid)
        before = nursery.pid
        assert before is not None
        os.kill(before, signal.SIGSTOP)
        assert await bear(nursery, "stay") is None
        await until(lambda: nursery.pid not in (None, before))
        assert is_gone(before)


async def test_a_nursery_that_cannot_start_is_done_without(tmp_path: Path) -> None:
    async with nursed(tmp_path, "raise RuntimeError('no such module')") as nursery:
        assert await bear(nursery, "stay") is None
    assert "no such module" in (tmp_path / "nursery.log").read_text()


SUPERVISED = """
import asyncio, os, sys
from pathlib import Path
from orion.platform.nursery import Nursery
from orion.platform.supervise import Spec, Supervisor
async def main():
    folder = Path(sys.argv[1])
    environment = dict(os.environ)
    command = (sys.executable, "-c", sys.argv[2])
    async with Nursery(command, environment, folder / "n.log") as nursery:
        spec = Spec("child", ("no", "such", "program"), environment, words=("deaf",))
        supervisor = Supervisor([spec], folder, lambda _n, _t: None, nursery)
        await supervisor.start()
        print(supervisor.children["child"].pid, nursery.pid, flush=True)
        await asyncio.sleep(600)
asyncio.run(main())
"""


async def test_a_killed_supervisor_takes_copies_and_nursery_along(tmp_path: Path) -> None:
    toy = TOY.replace('"READY"', '"ORION_READY_FD"')
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", SUPERVISED, str(tmp_path), toy),
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
    )
    assert parent.stdout is not None
    told = await asyncio.wait_for(parent.stdout.readline(), 60)
    pids = [int(word) for word in told.split()]
    assert len(pids) == 2
    assert not any(map(is_gone, pids))
    parent.kill()
    await parent.wait()
    await until(lambda: all(map(is_gone, pids)))


async def test_the_supervisor_brings_a_copy_back_with_the_nursery_and_without(
    tmp_path: Path,
) -> None:
    toy = TOY.replace('"READY"', '"ORION_READY_FD"')
    started = (
        "import os, signal; os.write(int(os.environ['ORION_READY_FD']), b'ready'); signal.pause()"
    )
    said: list[str] = []
    async with nursed(tmp_path, toy) as nursery:
        spec = Spec("one", (sys.executable, "-c", started), ENVIRONMENT, words=("stay",))
        supervisor = Supervisor([spec], tmp_path, lambda _name, text: said.append(text), nursery)
        try:
            await supervisor.start()
            child = supervisor.children["one"]
            for is_alone in (False, True):
                before, helper = child.pid, nursery.pid
                assert before is not None
                assert isinstance(child.process, Born)
                if is_alone:
                    assert helper is not None
                    os.kill(helper, signal.SIGSTOP)
                    os.kill(helper, signal.SIGKILL)
                os.kill(before, signal.SIGKILL)
                await until(lambda old=before: child.is_ready and child.pid not in (None, old))
            assert sum("one is back" in text for text in said) == 2
            assert sum("one ended (killed by SIGKILL)" in text for text in said) == 2
        finally:
            await supervisor.stop()
        assert child.process is not None
        assert child.process.returncode is not None
