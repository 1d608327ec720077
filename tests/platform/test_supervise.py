"""The supervisor over real children: ready, killed, crashing, deaf to signals, orphaned."""

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

import pytest

from orion.platform.datadir import StartError
from orion.platform.logfile import LogFile
from orion.platform.supervise import Spec, Supervisor, error_in
from tests.platform.processes import is_gone, until

ROOT = Path(__file__).resolve().parents[2]
READY = """
import os, signal, sys
fd = int(os.environ["ORION_READY_FD"])
os.write(fd, b"ready\\n"); os.close(fd)
"""
STAYS = READY + "signal.pause()\n"


class Heard:
    """What the supervisor had to say."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def __call__(self, _process: str, text: str) -> None:
        self.texts.append(text)

    def has(self, *words: str) -> bool:
        return any(all(word in text for word in words) for text in self.texts)


def spec(name: str, program: str, *, last: bool = False, **env: str) -> Spec:
    return Spec(name, (sys.executable, "-c", program), {**os.environ, **env}, last=last)


@asynccontextmanager
async def supervised(
    logs: Path, heard: Heard, *specs: Spec, start: bool = True
) -> AsyncIterator[Supervisor]:
    supervisor = Supervisor(specs, logs, heard)
    try:
        if start:
            await supervisor.start()
        yield supervisor
    finally:
        await supervisor.stop(fast=True)


async def test_start_returns_when_all_are_ready_and_stop_ends_all(tmp_path: Path) -> None:
    order: list[str] = []
    supervisor = Supervisor(
        [spec("one", STAYS), spec("two", STAYS)], tmp_path, lambda _name, _text: None
    )
    await supervisor.start(lambda name, _seconds: order.append(name))
    pids = [child.pid for child in supervisor.children.values()]
    assert sorted(order) == ["one", "two"]
    assert all(pid and os.getsid(pid) == pid for pid in pids)
    await supervisor.stop()
    await supervisor.stop()
    assert all(pid and is_gone(pid) for pid in pids)


async def test_a_killed_child_is_back_and_the_others_were_left_alone(tmp_path: Path) -> None:
    heard = Heard()
    async with supervised(tmp_path, heard, spec("one", STAYS), spec("two", STAYS)) as supervisor:
        one, two = supervisor.children["one"], supervisor.children["two"]
        before, other = one.pid, two.pid
        assert before is not None
        os.kill(before, signal.SIGKILL)
        await until(lambda: one.is_ready and one.pid not in (None, before))
        assert two.pid == other
        assert heard.has("one ended", "SIGKILL")
        assert heard.has("one is back")


async def test_a_child_that_keeps_ending_is_said_once_and_still_tried(tmp_path: Path) -> None:
    program = READY + "sys.exit(3)\n"
    heard = Heard()
    async with supervised(tmp_path, heard, spec("weak", program)) as supervisor:
        child = supervisor.children["weak"]
        await until(lambda: child.restarts >= 5)
        assert sum("keeps ending" in text for text in heard.texts) == 1
        assert heard.has("exit code 3")


async def test_a_child_that_never_gets_ready_fails_the_start_with_its_words(tmp_path: Path) -> None:
    line = json.dumps({"level": "error", "event": "no table", "exception": "Trace\nBoom: x"})
    program = f"import sys; print({line!r}); sys.exit(1)"
    heard = Heard()
    with pytest.raises(StartError, match=r"bad does not start \(exit code 1\)") as told:
        async with supervised(tmp_path, heard, spec("good", STAYS), spec("bad", program)):
            pass
    assert "no table (Boom: x)" in str(told.value)
    assert str(tmp_path / "bad.log") in str(told.value)


async def test_a_configuration_error_is_not_tried_again(tmp_path: Path) -> None:
    program = "import sys; print('ORION_X: 5 is above 4. Use 4 or less'); sys.exit(78)"
    supervisor = Supervisor([spec("bad", program)], tmp_path, Heard())
    with pytest.raises(StartError, match=r"^ORION_X: 5 is above 4\. Use 4 or less$"):
        await supervisor.start()
    assert supervisor.children["bad"].ends == 1
    await supervisor.stop()


async def test_a_program_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    missing = Spec("none", ("/no/such/program",), dict(os.environ))
    supervisor = Supervisor([missing], tmp_path, Heard())
    with pytest.raises(StartError, match="none does not start"):
        await supervisor.start()
    await supervisor.stop()


async def test_the_outer_ones_end_before_the_inner_ones(tmp_path: Path) -> None:
    ending = (
        "import os, signal, sys\n"
        "def end(*_):\n"
        "    open(os.environ['SAID'], 'a').write(os.environ['NAME'] + '\\n')\n"
        "    sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, end)\n"
    ) + STAYS
    said = tmp_path / "said"
    specs = [
        spec(name, ending, last=name == "core", SAID=str(said), NAME=name)
        for name in ("core", "bff", "edge")
    ]
    supervisor = Supervisor(specs, tmp_path, Heard())
    await supervisor.start()
    await supervisor.stop()
    assert said.read_text().split()[-1] == "core"
    assert sorted(said.read_text().split()) == ["bff", "core", "edge"]


async def test_a_child_deaf_to_the_polite_signal_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orion.platform.supervise.STOP_S", 0.3)
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + STAYS
    supervisor = Supervisor([spec("deaf", deaf)], tmp_path, Heard())
    await supervisor.start()
    pid = supervisor.children["deaf"].pid
    await supervisor.stop()
    assert pid is not None
    assert is_gone(pid)


PARENT = """
import asyncio, os, sys
from pathlib import Path
from orion.platform.supervise import Spec, Supervisor
async def main():
    program = sys.argv[2]
    child = Spec("child", (sys.executable, "-c", program), dict(os.environ))
    supervisor = Supervisor([child], Path(sys.argv[1]), lambda _n, _t: None)
    await supervisor.start()
    print(supervisor.children["child"].pid, flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of a parent's end")
async def test_a_killed_supervisor_takes_its_children_along(tmp_path: Path) -> None:
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + STAYS
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    command = (sys.executable, "-c", PARENT, str(tmp_path), deaf)
    parent = await asyncio.create_subprocess_exec(*command, env=env, stdout=subprocess.PIPE)
    assert parent.stdout is not None
    child = int(await asyncio.wait_for(parent.stdout.readline(), 60))
    assert not is_gone(child)
    parent.kill()
    await parent.wait()
    await until(lambda: is_gone(child))


async def test_errors_of_a_running_child_are_said_but_not_without_end(tmp_path: Path) -> None:
    line = json.dumps({"level": "error", "event": "the book is crossed"})
    program = READY + (
        "import time\n"
        "while not os.path.exists(os.environ['GO']): time.sleep(0.01)\n"
        f"for _ in range(200): print({line!r}, flush=True)\n"
        "signal.pause()\n"
    )
    heard, go, log = Heard(), tmp_path / "go", tmp_path / "one.log"
    async with supervised(tmp_path, heard, spec("one", program, GO=str(go))):
        go.touch()
        await until(log.exists)
        await until(lambda: log.read_text().count("crossed") == 200)
        assert heard.has("one: the book is crossed")
        assert len(heard.texts) <= 5


def test_only_error_lines_are_errors() -> None:
    assert error_in('{"level": "error", "event": "broken"}') == "broken"
    assert error_in('{"level": "info", "event": "fine"}') is None
    assert error_in("Traceback (most recent call last):") is None
    assert error_in('{"level": "error", "event') is None


def test_a_log_has_a_bound_and_keeps_the_newest(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "x.log", max_bytes=100, keep=2)
    for number in range(40):
        log.write(b"line %02d of ten bytes\n" % number)
    log.close()
    files = sorted(tmp_path.iterdir())
    assert [f.name for f in files] == ["x.log", "x.log.1", "x.log.2"]
    assert all(f.stat().st_size <= 100 for f in files)
    assert "line 39" in (tmp_path / "x.log").read_text()


def test_a_log_that_cannot_be_written_counts_what_it_lost(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "missing" / "x.log")
    log.write(b"lost\n")
    assert log.lost == 1
