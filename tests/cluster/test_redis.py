"""The cache on a real Redis, on good days and on bad ones."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog

pytest.importorskip("redis")

from orion.app.servers.process import free_ports
from orion.app.servers.valkey import ValkeyServer
from orion.platform.cache.redis import RedisCache
from orion.platform.config import ConfigError, PlatformConfig
from orion.platform.errors import Unavailable
from tests.platform.cache_case import MAX_KEYS, CacheCase

pytestmark = pytest.mark.cluster
LOST, BACK = "the cache is lost; everything goes on from the database", "the cache is back"


@pytest.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ValkeyServer]:
    one = ValkeyServer(tmp_path_factory.mktemp("redis"), free_ports(1)[0])
    await one.start()
    yield one
    await one.stop()


@pytest.fixture
async def running(server: ValkeyServer) -> ValkeyServer:
    """The server, started again after a test that ended it."""
    if server.process.pid is None:
        await server.process.stop()
        await server.start()
    server.process.resume()
    return server


def config(server: ValkeyServer, env: str = "test", **more: Any) -> PlatformConfig:
    given = {
        "redis_url": server.url,
        "redis_password_file": str(server.password_file),
        "redis_timeout_ms": 500,
        **more,
    }
    return PlatformConfig(env=env, **given)


@pytest.fixture
async def cache(running: ValkeyServer, request: pytest.FixtureRequest) -> AsyncIterator[RedisCache]:
    async with RedisCache.open(config(running, env=f"t{id(request)}")) as one:
        one._max_keys = MAX_KEYS
        yield one


async def until(is_so: Callable[[], Awaitable[bool]]) -> None:
    """Polls with a bound."""
    async with asyncio.timeout(30):
        while not await is_so():
            await asyncio.sleep(0.02)


async def answers(cache: RedisCache) -> bool:
    try:
        await cache.put("probe", {"a": b"1"})
    except Unavailable:
        return False
    return True


class TestRedisCache(CacheCase):
    """The shared case."""

    @pytest.fixture
    def later(self) -> Callable[[Any], Awaitable[None]]:
        return until


async def test_processes_share_it_and_environments_do_not(running: ValkeyServer) -> None:
    async with (
        RedisCache.open(config(running, "one")) as here,
        RedisCache.open(config(running, "one")) as there,
        RedisCache.open(config(running, "two")) as elsewhere,
    ):
        await here.put("prices", {"a": b"1"})
        await here.note("seats", {"a": b"2"}, 60)
        assert await there.get("prices", ["a"]) == {"a": b"1"}
        assert await there.noted("seats", ["a"]) == {"a": b"2"}
        assert await elsewhere.all("prices") == {} and await elsewhere.noted("seats", ["a"]) == {}


async def test_more_values_than_one_command_takes(running: ValkeyServer) -> None:
    async with RedisCache.open(config(running, "many")) as cache:
        values = {f"k{i}": str(i).encode() for i in range(2_500)}
        await cache.put("prices", values)
        assert await cache.all("prices") == values
        assert await cache.get("prices", list(values)) == values


@pytest.mark.parametrize("how", ["killed", "paused"])
async def test_a_lost_server_keeps_nobody_waiting_and_comes_back_by_itself(
    running: ValkeyServer, cache: RedisCache, how: str
) -> None:
    await cache.put("prices", {"a": b"1"})
    await cache.note("seats", {"a": b"1"}, 600)
    with structlog.testing.capture_logs() as lines:
        if how == "killed":
            await running.process.kill()
        else:
            running.process.pause()
        # Many at once, and again and again: one finds out, the others are told.
        for _ in range(20):
            found = await asyncio.gather(
                cache.put("prices", {"a": b"2"}),
                cache.get("prices", ["a"]),
                cache.all("prices"),
                cache.noted("seats", ["a"]),
                cache.note("seats", {"b": b"2"}, 60),
                return_exceptions=True,
            )
            assert all(isinstance(e, Unavailable) for e in found)
        assert cache.is_lost
        # While it is lost nothing is sent: a refusal does not even give the loop a turn.
        turned = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(turned.set_result, None)
        with pytest.raises(Unavailable):
            await cache.get("prices", ["a"])
        assert not turned.done()
        if how == "killed":
            await running.start()
        else:
            running.process.resume()
        await until(lambda: answers(cache))
    told = [line["event"] for line in lines if "cache" in line["event"]]
    assert told == [LOST, BACK]
    # A new server is empty. One that was asleep may have taken what it was sent before; what it
    # owes on old connections is not taken for an answer to what is asked now.
    known = {"killed": ({},), "paused": ({"a": b"1"}, {"a": b"2"})}
    assert await cache.get("prices", ["a"]) in known[how]
    await asyncio.gather(*(cache.put("mine", {f"k{i}": str(i).encode()}) for i in range(20)))
    for _ in range(20):
        got = await asyncio.gather(*(cache.get("mine", [f"k{i}"]) for i in range(20)))
        assert got == [{f"k{i}": str(i).encode()} for i in range(20)]


async def test_a_caller_that_goes_away_leaves_nothing_behind(cache: RedisCache) -> None:
    values = {f"k{i}": str(i).encode() for i in range(20)}
    await cache.put("mine", values)
    for turn in range(200):
        task = asyncio.create_task(cache.get("mine", ["k0"]))
        for _ in range(turn % 7):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        name = f"k{turn % 20}"
        assert await cache.get("mine", [name]) == {name: values[name]}
    assert not cache.is_lost


async def test_it_starts_without_a_server(running: ValkeyServer) -> None:
    await running.stop()
    async with RedisCache.open(config(running)) as cache:
        assert cache.is_lost
        with pytest.raises(Unavailable):
            await cache.all("prices")
        await running.start()
        await until(lambda: answers(cache))


async def test_a_full_server_counts_as_lost_until_there_is_room(
    running: ValkeyServer, cache: RedisCache
) -> None:
    import redis.asyncio

    password = running.password_file.read_text()
    admin = redis.asyncio.Redis.from_url(running.url, password=password)
    try:
        await admin.config_set("maxmemory", "1")
        with pytest.raises(Unavailable):
            await cache.put("prices", {"a": b"1"})
        assert cache.is_lost
        await admin.config_set("maxmemory", "100mb")
        await until(lambda: answers(cache))
    finally:
        await admin.config_set("maxmemory", "100mb")
        await admin.aclose()


async def test_a_wrong_password_is_no_cache(running: ValkeyServer, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("not-the-password")
    with structlog.testing.capture_logs() as lines:
        async with RedisCache.open(config(running, redis_password_file=str(wrong))) as cache:
            assert cache.is_lost
    assert [line["event"] for line in lines] == [LOST]
    assert "not-the-password" not in str(lines)


@pytest.mark.parametrize(
    ("given", "key"),
    [
        ({"redis_url": ""}, "ORION_REDIS_URL"),
        ({"redis_url": "http://127.0.0.1:1"}, "ORION_REDIS_URL"),
        ({"redis_url": "redis://:password@127.0.0.1:1/0"}, "ORION_REDIS_URL"),
        ({"redis_url": "rediss://127.0.0.1:1/0?ssl_cert_reqs=none"}, "ORION_REDIS_URL"),
        ({"redis_password_file": "/nowhere/at/all"}, "ORION_REDIS_PASSWORD_FILE"),
    ],
)
async def test_settings_that_cannot_be_used_are_named(
    server: ValkeyServer, given: dict[str, str], key: str
) -> None:
    with pytest.raises(ConfigError) as error:
        async with RedisCache.open(config(server, **given)):
            pass
    assert error.value.key == key


# ---- TLS: the wheel's server has none, so a door of our own stands before it


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A self-signed certificate for a host, and its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    who = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(who)
        .issuer_name(who)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file, secret = folder / f"{name}.pem", folder / f"{name}.key"
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return file, secret


@pytest.mark.parametrize("trusted", ["localhost", "another.example", "none"])
async def test_tls_is_spoken_with_the_right_server_only(
    running: ValkeyServer, tmp_path: Path, trusted: str
) -> None:
    host = "another.example" if trusted == "another.example" else "localhost"
    file, secret = certificate(tmp_path, host)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file, secret)

    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()

    async def door(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner = await asyncio.open_connection("127.0.0.1", running.port)
        pours = [
            asyncio.create_task(pour(reader, inner)),
            asyncio.create_task(pour(inner_reader, writer)),
        ]
        await asyncio.wait(pours, return_when=asyncio.FIRST_COMPLETED)
        for one in pours:
            one.cancel()
        await asyncio.gather(*pours, return_exceptions=True)
        inner.close()
        writer.close()

    listening = await asyncio.start_server(door, "127.0.0.1", 0, ssl=context)
    port = listening.sockets[0].getsockname()[1]
    given = {
        "redis_url": f"rediss://localhost:{port}/0",
        "redis_ca_file": "" if trusted == "none" else str(file),
    }
    async with listening, RedisCache.open(config(running, "tls", **given)) as cache:
        if trusted == "localhost":
            await cache.put("prices", {"a": b"1"})
            assert await cache.get("prices", ["a"]) == {"a": b"1"}
        else:
            assert cache.is_lost
