"""Those who run the platform hear of its dead letters: from the record that could not be read to
the frame on their screen, and to nobody else's.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from orion.app.letters import letter_fact
from orion.platform import deadletters
from orion.platform.clock import SystemClock
from orion.platform.config import Settings
from orion.platform.consume import Consumer, ConsumerLimits
from orion.platform.module import Module, Ports
from orion.platform.rpc import RpcServer
from orion.platform.store.postgres import PostgresStore
from orion.services.notifications.config import Config
from orion.services.notifications.module import build
from orion.wire.stubs import notifications_pb2, notifications_pb2_grpc
from tests.services.edge_world import World, hear, running, say, until
from tests.services.machine import START, Machine, Said
from tests.services.machine import say as log
from tests.services.test_dead_letters import Reader
from tests.services.test_dead_letters import running as working

GROUP = "rm_rfq_blotter"
SECRETS = ("a field is missing", "EURUSD", "story-1", "RFQSent")


class Desk:
    """The notification service on real tables, before it the edge, behind it a consumer."""

    def __init__(
        self, world: World, address: str, store: PostgresStore, reader: Reader, module: Module
    ):
        self.world, self.address, self.store, self.reader = world, address, store, reader
        self._module = module

    async def open(self) -> None:
        """The service answers."""
        self._server = RpcServer(self.address, self.world.verifier.verify)
        for register, servicer in self._module.rpc:
            register(servicer, self._server.server)
        await self._server.start()

    async def close(self) -> None:
        """It does not."""
        await self._server.stop(0)

    async def interrupt(self) -> None:
        """The edge's stream breaks and is opened anew."""
        stream = next(u for u in self.world.edge.upstreams if u.name == "notifications")
        await until(lambda: stream.is_connected)
        await self.close()
        await until(lambda: not stream.is_connected)
        await self.open()
        await until(lambda: stream.is_connected)

    def token(self, user: str, tenant: str = "alpha") -> str:
        role = user.rstrip("0123456789").upper()
        return self.world.token(
            tenant=tenant, user=f"{user}@{tenant}", sub=f"{tenant}-{user}", roles=[f"ROLE_{role}"]
        )

    @contextlib.asynccontextmanager
    async def screen(self, user: str, tenant: str = "alpha") -> AsyncIterator[Any]:
        async with self.world.connect(self.token(user, tenant)) as ws:
            await say(ws, op="subscribe", channel="notifications")
            yield ws

    async def call(self, method: str, request: Any, user: str, tenant: str = "alpha") -> Any:
        token = self.token(user, tenant)
        async with grpc.aio.insecure_channel(self.address) as channel:
            stub = notifications_pb2_grpc.NotificationServiceStub(channel)
            who = (("authorization", f"Bearer {token}"),)
            return await getattr(stub, method)(request, metadata=who, timeout=10)

    async def replay(self) -> None:
        self.reader.cannot = None
        await deadletters.replay_letters(self.store, consumer=GROUP, by="cli:ada")
        async with asyncio.timeout(20):
            while await deadletters.list_letters(self.store, consumer=GROUP):
                await asyncio.sleep(0.01)


@pytest.fixture
async def desk(machine: Machine, tmp_path: Path) -> AsyncIterator[Desk]:
    address = f"unix:{tmp_path}/notes.sock"
    store = PostgresStore(machine.db.writer, machine.ring, say=letter_fact)
    reader = Reader()
    consumer = Consumer(
        GROUP, "rfq", ("rfq.lifecycle",), reader, machine.bus, store, "1",
        ConsumerLimits(pace_ms=1, look_s=0.05),
    )  # fmt: skip
    async with running(elsewhere={"notifications": address}) as world:
        settings = Settings({"data_dir": str(tmp_path / "data")}, environment={})
        module = build(
            Ports(
                SystemClock(), machine.bus, store, machine.database, None, None, world.verifier,
                settings, None,
            ),
            Config(),
        )  # fmt: skip
        made = Desk(world, address, store, reader, module)
        await made.open()
        async with working(consumer, *map(_Task, module.tasks)):
            await until(lambda: module.ready() is None)
            yield made
        await made.close()
    await store.close()


class _Task:
    def __init__(self, run: Any) -> None:
        self.run = run


def _record(entity: str, n: int, tenant: str = "alpha") -> Said:
    payload = {"n": n, "instrumentId": "EURUSD"}
    return Said("rfq.lifecycle", 0, tenant, entity, "RFQSent", payload, "story-1", at=START + n)


async def test_a_letter_reaches_the_screens_of_those_who_run_the_platform(
    desk: Desk, machine: Machine
) -> None:
    desk.reader.cannot = "r-told"
    async with (
        desk.screen("platform") as mine, desk.screen("trader") as trader,
        desk.screen("admin") as admin, desk.screen("platform", "beta") as other,
    ):  # fmt: skip
        for ws in (mine, trader, admin, other):
            await hear(ws, "snapshot", "notifications")
        await log(machine, _record("r-told", 0))
        frame = await hear(mine, "update", "notifications")
        (parked,) = frame["items"]
        assert (parked["kind"], parked["severity"]) == ("DEAD_LETTER_PARKED", "BAD")
        assert parked["title"] == f"Dead letter of {GROUP}" and not parked["read"]
        assert parked["text"].startswith("rfq.lifecycle/0/0 was set aside after 1 attempt")
        await desk.replay()
        (replayed,) = (await hear(mine, "update", "notifications"))["items"]
        assert replayed["kind"] == "DEAD_LETTER_REPLAYED"
        assert replayed["text"] == "rfq.lifecycle/0/0 was applied, as cli:ada asked"
        said = json.dumps([parked, replayed])
        assert not [word for word in (*SECRETS, "r-told") if word in said]
        # Of shared records all who run the platform hear: the next frame of `other` is of that one.
        desk.reader.cannot = "tick-told"
        await log(machine, _record("tick-told", 1, tenant="shared"))
        for ws in (mine, other):
            (item,) = (await hear(ws, "update", "notifications"))["items"]
            assert item["kind"] == "DEAD_LETTER_PARKED" and "/0/1 was set aside" in item["text"]
        for ws in (trader, admin):
            await say(ws, op="ping", id=1)
            assert (await hear(ws))["type"] == "pong", "nothing came before it"
    await desk.replay()


async def test_each_reads_for_oneself(desk: Desk, machine: Machine) -> None:
    desk.reader.cannot = "r-read"
    async with desk.screen("platform") as mine, desk.screen("platform2") as colleague:
        for ws in (mine, colleague):
            await hear(ws, "snapshot", "notifications")
        await log(machine, _record("r-read", 2))
        (note,) = (await hear(mine, "update", "notifications"))["items"]
        assert (await hear(colleague, "update", "notifications"))["items"] == [note]
        read = notifications_pb2.MarkReadRequest(notification_ids=[note["notificationId"]])
        for stranger in (("trader", "alpha"), ("platform", "beta")):
            assert (await desk.call("MarkRead", read, *stranger)).marked == 0
        listed = await _listed(desk, note, "platform")
        assert not listed.read
        assert (await desk.call("MarkRead", read, "platform")).marked == 1
        assert (await hear(mine, "update", "notifications"))["items"] == [{**note, "read": True}]
        assert (await desk.call("MarkRead", read, "platform")).marked == 0
    assert (await _listed(desk, note, "platform")).read
    assert not (await _listed(desk, note, "platform2")).read
    for again in range(2):  # what the edge holds, then what it is told when it asks anew
        for user, is_read in (("platform", True), ("platform2", False)):
            async with desk.screen(user) as ws:
                items = (await hear(ws, "snapshot", "notifications"))["items"]
                mine_now = [i for i in items if i["notificationId"] == note["notificationId"]]
                assert [i["read"] for i in mine_now] == [is_read], (user, again)
        await desk.interrupt()
    wanted = notifications_pb2.ListNotificationsRequest()
    for stranger in (("trader", "alpha"), ("platform", "beta")):
        items = (await desk.call("ListNotifications", wanted, *stranger)).items
        assert note["notificationId"] not in {i.notification_id for i in items}
    await desk.replay()


async def _listed(desk: Desk, note: dict[str, Any], user: str) -> Any:
    """It, as the list has it: the read model follows the screen in a moment."""
    async with asyncio.timeout(20):
        while True:
            wanted = notifications_pb2.ListNotificationsRequest()
            items = (await desk.call("ListNotifications", wanted, user)).items
            found = [i for i in items if i.notification_id == note["notificationId"]]
            if found:
                return found[0]
            await asyncio.sleep(0.01)
