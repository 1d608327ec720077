"""The command line as a person meets it: sentences for what is wrong, two platforms side by side,
data that stays.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest

from orion.platform.config import Settings
from orion.platform.embedded import Access

ROOT = Path(__file__).resolve().parents[2]
READY_S = 120.0


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-P", "-m", "orion.app.cli", *arguments]


def environment(data_dir: Path | None = None, **more: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("ORION_")}
    kept |= {"PYTHONPATH": str(ROOT / "src"), "COLUMNS": "200", **more}
    return kept | ({"ORION_DATA_DIR": str(data_dir)} if data_dir else {})


def orion(
    *arguments: str, data_dir: Path | None = None, **more: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments),
        env=environment(data_dir, **more),
        capture_output=True,
        text=True,
        timeout=90,
    )


@pytest.fixture
def home() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="orion-c", ignore_cleanup_errors=True) as name:
        yield Path(name)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"ORION_PORT": "eighty"}, ("ORION_PORT", "'eighty'", "int")),
        ({"ORION_PORT": "70000"}, ("ORION_PORT", "65535")),
        ({"ORION_PROFILE": "cloud"}, ("ORION_PROFILE", "embedded, cluster")),
        ({"ORION_PROCESSES": "many"}, ("ORION_PROCESSES", "per-service")),
        ({"ORION_REPLAY": "/no/such/file.csv"}, ("ORION_REPLAY", "/no/such/file.csv")),
        ({"ORION_REPLAY": __file__}, ("ORION_REPLAY", "test_cli.py", "pair-csv")),
        ({"ORION_SPEED": "fast"}, ("ORION_SPEED", "'fast'", "max")),
        ({"ORION_SCENARIO": "sunny"}, ("ORION_SCENARIO", "'sunny'", "calm")),
        ({"ORION_PROFILE": "cluster"}, ("ORION_POSTGRES_DSN", "cluster profile needs it")),
        ({"ORION_RFQ_MAX_ANSWERS": "many"}, ("ORION_RFQ_MAX_ANSWERS", "'many'")),
        ({"ORION_CONFIG": "/no/such.toml"}, ("ORION_CONFIG", "/no/such.toml")),
        ({"ORION_PUBLIC_URL": "orion"}, ("ORION_PUBLIC_URL", "http://HOST:PORT")),
        (
            {"ORION_POSTGRES_DSN": "postgresql://u:p@127.0.0.1:1/x"},
            ("ORION_POSTGRES_DSN", "embedded PostgreSQL"),
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_broken_configuration_is_a_sentence(
    home: Path, more: dict[str, str], words: tuple[str, ...]
) -> None:
    port = {"ORION_PORT": str(free_port())}
    done = orion("up", data_dir=home / "d", **{**port, **more})
    assert done.returncode == 78
    assert all(word in done.stderr for word in words), done.stderr
    assert "Traceback" not in done.stderr
    assert not (home / "d" / "pg").exists()  # it is told before anything is made


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("port = 80000", ("ORION_PORT", "65535")),
        ("prot = 8080", ("prot", "is not a setting")),
        ("[rfqs]\nmax_answers = 3", ("[rfqs]", "is not a section", "rfq")),
        ("[rfq]\nmax_answer = 3", ("rfq.max_answer", "max_answers")),
        ("port = ", ("orion.toml", "Mend the file")),
    ],
)
def test_a_broken_file_is_a_sentence(home: Path, file: str, words: tuple[str, ...]) -> None:
    (home / "orion.toml").write_text(file)
    done = orion("up", data_dir=home / "d", ORION_CONFIG=str(home / "orion.toml"))
    assert done.returncode == 78
    assert all(word in done.stderr for word in words), done.stderr
    assert not (home / "d" / "pg").exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ("begins with ''", "pair-csv")),
        (b"pair,timestamp_utc,bid,ask\n", ("holds no quote",)),
        (b"pair,timestamp_utc,bid,ask\n1,2\nEUR/USD,noon,1,2\n", ("holds no quote",)),
        (b"symbol;time;bid\nEURUSD;12:00;1.1\n", ("symbol;time;bid", "pair-csv")),
        (bytes(range(256)) * 20, ("ORION_REPLAY", "pair-csv")),
    ],
    ids=["empty", "header only", "broken rows", "other columns", "binary"],
)
def test_a_file_that_is_no_recording_is_a_sentence(
    home: Path, content: bytes, words: tuple[str, ...]
) -> None:
    (home / "file.csv").write_bytes(content)
    done = orion("up", "--replay", str(home / "file.csv"), data_dir=home / "d")
    assert done.returncode == 78
    assert all(word in done.stderr for word in words), done.stderr
    assert not (home / "d" / "pg").exists()


@pytest.mark.parametrize(
    ("words", "library"),
    [
        ((str(ROOT / "orion"),), "hashlib"),
        (("-m", "orion.app"), "typer"),
        (("-m", "orion.app"), "asyncpg"),
    ],
    ids=["the script", "the command line", "the verb"],
)
def test_ctrl_c_while_it_is_read_in_ends_it_quietly(
    home: Path, words: tuple[str, ...], library: str
) -> None:
    # An import that signals its own process is a Ctrl-C at just that moment.
    (home / "sitecustomize.py").write_text(
        "import os, signal, sys\n"
        "class Here:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == {library!r}: os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Here())\n"
        f"sys.modules.pop({library!r}, None)\n"
    )
    done = subprocess.run(
        [sys.executable, *words, "up"],
        env=environment(home / "d", PYTHONPATH=f"{home}:{ROOT / 'src'}", ORION_PORT="1"),
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert done.returncode in (130, -signal.SIGINT)
    assert "Traceback" not in done.stderr
    assert not (home / "d" / "pg").exists()


def test_a_misspelt_variable_is_told(home: Path) -> None:
    with socket.socket() as other:  # so that it ends before anything is started
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        done = orion("up", data_dir=home / "d", ORION_PORT=port, ORION_RFQ_MAX_ANSWER="3")
    assert done.returncode == 1
    assert "ORION_RFQ_MAX_ANSWER is not a setting" in done.stdout
    assert "did you mean ORION_RFQ_MAX_ANSWERS?" in done.stdout


def test_a_port_in_use_is_a_sentence_before_anything_is_started(home: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        done = orion("up", "--port", str(port), data_dir=home / "d")
    assert done.returncode == 1
    assert f"Port {port} is in use" in done.stderr
    assert f"--port {port + 1}" in done.stderr
    assert not (home / "d" / "pg").exists()


def test_a_folder_of_a_newer_version_is_a_sentence(home: Path) -> None:
    (home / "version").write_text(json.dumps({"layout": 99}))
    done = orion("up", "--port", str(free_port()), "--data-dir", str(home))
    assert done.returncode == 1
    assert "newer version of Orion" in done.stderr


def test_a_folder_that_cannot_be_is_a_sentence(home: Path) -> None:
    (home / "file").write_text("")
    done = orion("up", "--port", str(free_port()), data_dir=home / "file" / "x")
    assert done.returncode == 1
    assert "is not a folder" in done.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_an_unwritable_folder_is_a_sentence(home: Path) -> None:
    home.chmod(0o500)
    done = orion("up", "--port", str(free_port()), data_dir=home / "d")
    assert done.returncode == 1
    assert "not writable for this user" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [("token", "trader@alpha"), ("user", "disable", "trader@alpha")],
    ids=lambda value: value[0],
)
def test_a_verb_that_needs_a_running_platform_says_so(
    home: Path, arguments: tuple[str, ...]
) -> None:
    done = orion(*arguments, data_dir=home)
    assert (done.returncode, done.stdout) == (1, "")
    assert "No platform runs on" in done.stderr
    assert "./orion up" in done.stderr


@pytest.mark.parametrize("verb", [("migrate",), ("dlq", "list"), ("audit", "verify"), ("rebuild",)])
def test_a_verb_that_needs_data_says_so(home: Path, verb: tuple[str, ...]) -> None:
    done = orion(*verb, data_dir=home)
    assert done.returncode == 1
    assert "holds no data yet" in done.stderr


def test_an_unknown_service_is_a_sentence_with_the_known_ones() -> None:
    done = orion("serve", "rfq", "nonsense")
    assert done.returncode == 2
    assert "There is no service nonsense" in done.stderr
    assert "push_edge" in done.stderr


def test_a_replay_is_told_what_and_where_to() -> None:
    done = orion("replay", "--into", "look")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--topic" in done.stderr


# --- the whole platform --------------------------------------------------------------------------


@contextmanager
def platform(data_dir: Path, port: int) -> Iterator[subprocess.Popen[str]]:
    """A running platform, ended with Ctrl-C."""
    running = subprocess.Popen(
        command("up", "--port", str(port), "--data-dir", str(data_dir)),
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert running.stdout is not None
    try:
        said = []
        for line in running.stdout:
            said.append(line)
            if "Stop" in line:
                break
        assert "Ready in" in "".join(said), "".join(said)
        yield running
    finally:
        running.send_signal(signal.SIGINT)
        rest = running.stdout.read()
        running.stdout.close()
        running.wait(90)
        assert "Stopped." in rest


def call(port: int, path: str, bearer: str, body: object = None) -> tuple[int, dict[str, object]]:
    headers = {"Authorization": f"Bearer {bearer}", "Idempotency-Key": f"cli-test-{port}-1"}
    data = None if body is None else json.dumps(body).encode()
    if data is not None:
        headers["Content-Type"] = "application/json"
    request = urllib.request.Request(f"http://localhost:{port}{path}", data, headers)
    deadline = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            said = error.read()
            if error.code != 503 or time.monotonic() > deadline:
                return error.code, json.loads(said)
            time.sleep(0.2)


def bearer(data_dir: Path) -> str:
    done = orion("token", "trader@alpha", data_dir=data_dir)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1
    return done.stdout.strip()


def pretend_tables(data_dir: Path, number: str) -> str:
    """Says that this migration was the last one; what it was before."""
    settings = Settings(flags={"data_dir": data_dir}, environment={})

    async def work() -> str:
        sql = await asyncpg.connect(Access(data_dir, settings.run_dir).admin_dsn)
        try:
            before = await sql.fetchval("select version_num from platform.alembic_version")
            await sql.execute("update platform.alembic_version set version_num = $1", number)
            return before
        finally:
            await sql.close()

    return asyncio.run(work())


@pytest.mark.stack
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_platforms_side_by_side_and_a_restart_keeps_the_data(home: Path) -> None:
    one, two, ports = home / "one", home / "two", (free_port(), free_port())
    ask = {"instrumentId": "EURUSD", "side": "BUY", "size": "1000000", "expirySeconds": 60}
    with platform(one, ports[0]), platform(two, ports[1]):
        status, made = call(ports[0], "/api/v1/rfqs", bearer(one), ask)
        assert status == 201, made
        rfq = str(made["rfqId"])
        assert call(ports[0], f"/api/v1/rfqs/{rfq}", bearer(one))[0] == 200
        assert call(ports[1], f"/api/v1/rfqs/{rfq}", bearer(two))[0] == 404
        refused = orion("up", "--port", str(free_port()), data_dir=one)
        assert refused.returncode == 1
        assert "already runs" in refused.stderr
    with platform(one, ports[0]):
        status, again = call(ports[0], f"/api/v1/rfqs/{rfq}", bearer(one))
        assert (status, again["rfqId"]) == (200, rfq)
        newest = pretend_tables(one, "0001")
        for there, words in (("0001", "./orion migrate"), ("9998", "newer version")):
            pretend_tables(one, there)
            refused = orion("verify", data_dir=one)
            assert (refused.returncode, words in refused.stderr) == (1, True), refused.stderr
        pretend_tables(one, newest)
    checked = orion("audit", "verify", data_dir=one)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    left = Settings(flags={"data_dir": one}, environment={}).run_dir
    assert not left.exists(), "a verb that starts the database itself leaves nothing behind"
