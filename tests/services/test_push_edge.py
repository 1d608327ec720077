"""The stream as a client meets it: a real WebSocket to the real edge, real gRPC streams behind."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator

import pytest
import websockets

from orion.core.permissions import Role
from orion.platform.revocations import Revoked
from orion.services.push_edge import prices
from orion.services.push_edge.frames import TICKS_ENCODED
from orion.wire.stubs import marketdata_pb2, notifications_pb2, rfq_pb2, trade_pb2
from tests.services.edge_world import (
    COOKIE,
    ORIGIN,
    World,
    closed_with,
    hear,
    note,
    rfq,
    running,
    say,
    tick,
    ticks,
    trade,
    until,
)


@pytest.fixture(scope="module")
async def world() -> AsyncIterator[World]:
    async with running() as made:
        yield made


# ---- prices


async def test_snapshot_first_then_updates(world: World) -> None:
    async with world.connect(world.token()) as ws:
        await say(ws, op="subscribe", channel="ticks", instrumentIds=["EURUSD", "USDJPY"])
        first = await hear(ws)
        assert first["type"] == "snapshot" and first["channel"] == "ticks"
        assert {i["instrumentId"] for i in first["items"]} == {"EURUSD", "USDJPY"}
        world.up.ticks.push(ticks(tick("EURUSD", "1.10", "1.11"), tick("GBPUSD", "9", "9")))
        update = await hear(ws, "update", "ticks")
        assert [i["instrumentId"] for i in update["items"]] == ["EURUSD"]
        item = update["items"][0]
        assert (item["bid"], item["ask"], item["source"], item["flags"]) == (
            "1.10",
            "1.11",
            "SIM",
            [],
        )
        assert item["timestamp"].endswith("Z") and len(item["receivedAt"]) == 24
        assert update["seq"] > first["seq"]


async def test_many_raw_ticks_become_the_newest_one(world: World) -> None:
    async with world.connect(world.token()) as ws:
        await say(ws, op="subscribe", channel="ticks", instrumentIds=["EURUSD"])
        await hear(ws, "snapshot")
        for n in range(500):
            world.up.ticks.push(ticks(tick("EURUSD", f"2.{n:03}", "3")))
        seen, numbers = [], []
        while not seen or seen[-1] != "2.499":
            frame = await hear(ws, "update", "ticks")
            seen += [i["bid"] for i in frame["items"]]
            numbers.append(frame["seq"])
        assert seen == sorted(seen) and len(seen) < 100
        assert numbers == sorted(set(numbers))


async def test_encodes_do_not_grow_with_sockets(world: World) -> None:
    async with asyncio.TaskGroup() as group:
        sockets = [
            await world.connect(world.token(user=f"u{n}@alpha", sub=f"s{n}")) for n in range(30)
        ]
        for ws in sockets:
            await say(ws, op="subscribe", channel="ticks", instrumentIds=["EURUSD", "GBPUSD"])
            await hear(ws, "snapshot")
        before = TICKS_ENCODED._value.get()
        world.up.ticks.push(ticks(tick("EURUSD", "1.5", "1.6"), tick("GBPUSD", "1.7", "1.8")))
        for ws in sockets:
            frame = await hear(ws, "update", "ticks")
            while {i["bid"] for i in frame["items"]} != {"1.5", "1.7"}:
                frame = await hear(ws, "update", "ticks")
        assert TICKS_ENCODED._value.get() - before == 2
        for ws in sockets:
            group.create_task(ws.close())


async def test_unsubscribed_is_silent(world: World) -> None:
    async with world.connect(world.token()) as ws:
        await say(ws, op="subscribe", channel="ticks", instrumentIds=["EURUSD", "USDJPY"])
        await hear(ws, "snapshot")
        await say(ws, op="unsubscribe", channel="ticks", instrumentIds=["EURUSD", "NOTHERE"])
        await say(ws, op="ping", id=1)
        await hear(ws, "pong")
        world.up.ticks.push(ticks(tick("EURUSD", "4", "5"), tick("USDJPY", "110", "111")))
        frame = await hear(ws, "update", "ticks")
        assert [i["instrumentId"] for i in frame["items"]] == ["USDJPY"]


async def test_stale_and_recovered_are_told(world: World) -> None:
    async with world.connect(world.token()) as ws:
        await say(ws, op="subscribe", channel="ticks", instrumentIds=["EURUSD"])
        await hear(ws, "snapshot")
        change = marketdata_pb2.StatusChange(
            instrument_id="EURUSD",
            stale=True,
            since_us=1_770_000_000_000_000,
            last_tick_at_us=1_769_999_000_000_000,
        )
        world.up.ticks.push(ticks(status=[change]))
        told = await hear(ws, "stale")
        assert told["items"] == [
            {
                "instrumentId": "EURUSD",
                "state": "STALE",
                "since": "2026-02-02T02:40:00.000Z",
                "lastTickAt": "2026-02-02T02:23:20.000Z",
            }
        ]
        assert "STALE" in (await hear(ws, "update", "ticks"))["items"][0]["flags"]
        change.stale = False
        world.up.ticks.push(ticks(status=[change]))
        assert (await hear(ws, "stale"))["items"][0]["state"] == "RECOVERED"
        frame = await hear(ws, "update", "ticks")
        assert "STALE" not in frame["items"][0]["flags"]


async def test_a_quiet_symbol_shows_its_sign_of_life(world: World) -> None:
    async with world.connect(world.token()) as ws:
        await say(ws, op="subscribe", channel="ticks", instrumentIds=["USDJPY"])
        price = (await hear(ws, "snapshot"))["items"][0]
        later = 4_000_000_000_000_000
        beat = marketdata_pb2.Heartbeat(instrument_id="USDJPY", at_us=later)
        world.up.ticks.push(ticks(heartbeats=[beat]))
        item = (await hear(ws, "update", "ticks"))["items"][0]
        assert item["heartbeatAt"].startswith("2096-") and item["bid"] == price["bid"]


async def test_a_sign_of_life_goes_out_before_a_screen_would_look_stale(world: World) -> None:
    world.edge.ticks.limits({"USDJPY": 2_000})
    async with world.connect(world.token()) as ws:
        await say(ws, op="subscribe", channel="ticks", instrumentIds=["USDJPY", "GBPUSD"])
        await hear(ws, "snapshot")
        start = 4_000_000_100_000_000
        for ms in (0, 500, 1_000):  # the second comes too soon after the first to be worth a frame
            beats = [
                marketdata_pb2.Heartbeat(instrument_id=name, at_us=start + ms * 1_000)
                for name in ("USDJPY", "GBPUSD")
            ]
            world.up.ticks.push(ticks(heartbeats=beats))
            if ms != 500:
                frame = await hear(ws, "update", "ticks")
                expected = {"USDJPY", "GBPUSD"} if ms == 0 else {"USDJPY"}
                assert {i["instrumentId"] for i in frame["items"]} == expected
        # GBPUSD has the time of those whose limits nobody told: two seconds.
        assert frame["items"][0]["heartbeatAt"] == "2096-10-02T07:08:21.000Z"


async def test_instruments_one_may_not_see_do_not_exist(world: World) -> None:
    async with world.connect(world.token()) as ws:  # FX only
        await say(
            ws, op="subscribe", channel="ticks", instrumentIds=["UST10Y", "NOTHERE", "EURUSD"]
        )
        first, second = await hear(ws), await hear(ws)
        assert {i["instrumentId"] for i in first["items"]} == {"EURUSD"}
        assert second["type"] == "error" and second["items"][0]["code"] == "MD-402"
        assert second["channel"] == "ticks", "a refusal says what it is about"
        world.up.ticks.push(ticks(tick("UST10Y", "99", "100"), tick("EURUSD", "6", "7")))
        frame = await hear(ws, "update", "ticks")
        assert [i["instrumentId"] for i in frame["items"]] == ["EURUSD"]


async def test_lost_prices_are_said_and_come_back() -> None:
    async with running(heartbeat_s=0.5) as world, world.connect(world.token()) as ws:
        await say(ws, op="subscribe", channel="ticks", instrumentIds=["EURUSD"])
        await hear(ws, "snapshot")
        assert "ticks" not in (await hear(ws, "heartbeat"))["items"][0]["degraded"]
        opened = world.up.ticks.opened
        # nothing can be sent: it fails
        good, world.up.ticks.snapshot = world.up.ticks.snapshot, None
        world.up.ticks.break_all()
        beat = await hear(ws, "heartbeat")
        while "ticks" not in beat["items"][0]["degraded"]:
            beat = await hear(ws, "heartbeat")
        good.ticks[0].bid = "8.88"
        world.up.ticks.snapshot = good
        frame = await hear(ws, "update", "ticks")
        assert frame["items"][0]["bid"] == "8.88" and world.up.ticks.opened > opened
        beat = await hear(ws, "heartbeat")
        while "ticks" in beat["items"][0]["degraded"]:
            beat = await hear(ws, "heartbeat")
        assert beat["items"][0]["sessions"] == 1 and beat["serverTime"]


async def test_prices_of_one_who_answers_no_more_are_said_to_be_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The connection stands, the process behind it does not move: as a stopped one does."""
    monkeypatch.setattr(prices, "SILENT_S", 2.0)
    async with running(heartbeat_s=0.5) as world, world.connect(world.token()) as ws:
        await say(ws, op="subscribe", channel="ticks", instrumentIds=["EURUSD"])
        await hear(ws, "snapshot")
        world.up.ticks.held.clear()
        beat = await hear(ws, "heartbeat")
        while "ticks" not in beat["items"][0]["degraded"]:
            beat = await hear(ws, "heartbeat")
        world.up.ticks.snapshot.ticks[0].bid = "7.77"
        world.up.ticks.held.set()
        while (await hear(ws, "update", "ticks"))["items"][0]["bid"] != "7.77":
            pass
        while "ticks" in beat["items"][0]["degraded"]:
            beat = await hear(ws, "heartbeat")


# ---- RFQs, trades, notifications


async def test_rfqs_are_complete_numbered_and_only_mine_to_see(world: World) -> None:
    async with (
        world.connect(world.token()) as trader,
        world.connect(world.token(sub="u2", user="trader2@alpha", desk="rates")) as other_desk,
        world.connect(
            world.token(sub="u3", user="risk@alpha", desk="", roles=["ROLE_RISK"])
        ) as risk,
    ):
        for ws in (trader, other_desk, risk):
            await say(ws, op="subscribe", channel="rfqs")
            assert (await hear(ws, "snapshot", "rfqs"))["seq"] == 1
        for n in range(1, 6):
            world.up.rfqs.push(
                rfq_pb2.RFQUpdate(items=[rfq(n), rfq(n, requester="trader2", desk="rates")])
            )
        got = [await hear(trader, "update", "rfqs") for _ in range(5)]
        assert [f["seq"] for f in got] == [2, 3, 4, 5, 6]
        assert {i["requester"] for f in got for i in f["items"]} == {"trader@alpha"}
        got = [await hear(other_desk, "update", "rfqs") for _ in range(5)]
        assert {i["requester"] for f in got for i in f["items"]} == {"trader2@alpha"}
        got = [await hear(risk, "update", "rfqs") for _ in range(5)]
        assert sum(len(f["items"]) for f in got) == 10


async def test_rfq_snapshot_holds_open_ones_newest_first_and_drops_ended_ones() -> None:
    async with running(rfq_keep_s=1.0) as world:
        old = rfq(1, ended_at_us=1_000_000, status="EXPIRED")
        world.up.rfqs.push(rfq_pb2.RFQUpdate(items=[old, rfq(2), rfq(3)]))
        await until(lambda: len(world.edge.channels["rfqs"]._held.get("alpha", {})) >= 2)
        async with world.connect(world.token()) as ws:
            await say(ws, op="subscribe", channel="rfqs")
            first = await hear(ws, "snapshot", "rfqs")
            assert [i["displayId"] for i in first["items"]] == ["R-3", "R-2"]
            # An older revision never replaces a newer one.
            world.up.rfqs.push(rfq_pb2.RFQUpdate(items=[rfq(3, revision=9, status="ACCEPTED")]))
            world.up.rfqs.push(rfq_pb2.RFQUpdate(items=[rfq(3, revision=8, status="QUOTING")]))
            world.up.rfqs.push(rfq_pb2.RFQUpdate(items=[rfq(4)]))
            got = [await hear(ws, "update", "rfqs") for _ in range(2)]
            assert [(f["items"][0]["displayId"], f["items"][0]["status"]) for f in got] == [
                ("R-3", "ACCEPTED"),
                ("R-4", "QUOTING"),
            ]
            # After the owner was away, everybody gets a new snapshot, and numbers go on.
            world.up.rfqs.snapshot = rfq_pb2.RFQUpdate(items=[rfq(7)], snapshot=True)
            world.up.rfqs.break_all()
            again = await hear(ws, "snapshot", "rfqs")
            assert [i["displayId"] for i in again["items"]] == ["R-7"] and again["seq"] == 4
            await say(ws, op="subscribe", channel="rfqs")
            assert (await hear(ws, "snapshot", "rfqs"))["seq"] == 1


async def test_no_frame_of_another_tenant(world: World) -> None:
    """Canaries of alpha on every channel; beta's whole traffic is searched for them."""
    heard: list[str] = []
    async with world.connect(world.token(tenant="beta", sub="b1", sid="b1")) as beta:
        for channel in ("rfqs", "trades", "notifications"):
            await say(beta, op="subscribe", channel=channel)
            heard.append(json.dumps(await hear(beta, "snapshot", channel)))
        # Same names, desk and subject on purpose: only the tenant differs.
        world.up.rfqs.push(
            rfq_pb2.RFQUpdate(items=[rfq(77, reason="CANARY"), rfq(78, tenant="beta")])
        )
        world.up.trades.push(trade_pb2.TradeUpdate(items=[trade(77), trade(78, tenant="beta")]))
        world.up.notes.push(
            notifications_pb2.NotificationUpdate(items=[note(77), note(78, tenant="beta")])
        )
        for channel in ("rfqs", "trades", "notifications"):
            frame = await hear(beta, "update", channel)
            heard.append(json.dumps(frame))
            assert len(frame["items"]) == 1 and "-78" in json.dumps(frame)
        for channel in ("rfqs", "trades", "notifications"):
            await say(beta, op="subscribe", channel=channel)
            heard.append(json.dumps(await hear(beta, "snapshot", channel)))
    assert not [f for f in heard if "alpha" in f or "CANARY" in f]


async def test_notifications_are_of_one_user(world: World) -> None:
    async with world.connect(world.token()) as ws:
        await say(ws, op="subscribe", channel="notifications")
        await hear(ws, "snapshot", "notifications")
        mine, other = note(1), note(2, user="trader2")
        world.up.notes.push(notifications_pb2.NotificationUpdate(items=[other, mine]))
        frame = await hear(ws, "update", "notifications")
        assert [i["notificationId"] for i in frame["items"]] == ["note-alpha-1"]


@pytest.mark.parametrize(
    ("role", "channel"),
    [
        (Role.PLATFORM, "ticks"),
        (Role.PLATFORM, "rfqs"),
        (Role.PLATFORM, "trades"),
        (Role.ANALYST, "rfqs"),
        (None, "ticks"),
        (None, "rfqs"),
        (None, "trades"),
        (None, "notifications"),
    ],
)
async def test_roles_that_may_not(world: World, role: Role | None, channel: str) -> None:
    roles = [role.value] if role else ["ROLE_NOBODY"]
    more = {"instrumentIds": ["EURUSD"]} if channel == "ticks" else {}
    async with world.connect(world.token(roles=roles, sub="r", sid="r")) as ws:
        await say(ws, op="subscribe", channel=channel, **more)
        assert (await hear(ws, "error"))["items"][0] == {
            "code": "AUTH-103",
            "detail": f"Your role does not read {'prices' if more else channel}",
            "op": "subscribe",
        }


# ---- who is there


async def test_no_credential_is_told_so(world: World) -> None:
    async with world.connect() as ws:
        assert await closed_with(ws) == (4401, "AUTH-101 You are not signed in")


async def test_forged_tokens(world: World) -> None:
    rows = world.forger.rows()
    assert len(rows) > 20
    for name, token in rows.items():
        try:
            async with world.connect(token) as ws:
                with contextlib.suppress(websockets.ConnectionClosed):
                    await say(ws, op="subscribe", channel="rfqs")
                code, reason = await closed_with(ws)
        except (websockets.InvalidHandshake, ValueError):
            continue  # bytes that no HTTP header can carry
        assert code == 4401 and reason and reason[:8] in ("AUTH-101", "AUTH-102"), name


async def test_service_tokens_are_not_for_people(world: World) -> None:
    async with world.connect(world.forger.service()) as ws:
        assert (await closed_with(ws))[0] == 4401


@pytest.mark.parametrize("origin", [ORIGIN, "http://127.0.0.1:8080"])
async def test_cookie_from_our_page(world: World, origin: str) -> None:
    world.up.cookies["good"] = world.token()
    headers = {"Cookie": f"a=b; {COOKIE}=good", "Origin": origin}
    async with world.connect(headers=headers) as ws:
        await say(ws, op="ping", id="x")
        assert (await hear(ws, "pong"))["id"] == "x"


@pytest.mark.parametrize(
    "origin",
    [
        None,
        "null",
        "http://localhost:8081",
        "http://localhost",
        "https://localhost:8080",
        "http://evil.example",
        "http://localhost:8080.evil.example",
        "HTTP://LOCALHOST:8080",
    ],
)
async def test_cookie_from_any_other_page(world: World, origin: str | None) -> None:
    world.up.cookies["good"] = world.token()
    before = world.up.resolved
    headers = {"Cookie": f"{COOKIE}=good"} | ({"Origin": origin} if origin else {})
    with pytest.raises(websockets.InvalidStatus) as refused:
        await world.connect(headers=headers)
    assert refused.value.response.status_code == 403
    assert json.loads(refused.value.response.body)["code"] == "AUTH-104"
    assert world.up.resolved == before


@pytest.mark.parametrize("origin", ["http://evil.example", "null"])
async def test_a_token_from_any_other_page(world: World, origin: str) -> None:
    with pytest.raises(websockets.InvalidStatus) as refused:
        await world.connect(world.token(), headers={"Origin": origin})
    assert refused.value.response.status_code == 403
    assert json.loads(refused.value.response.body)["code"] == "AUTH-104"
    async with world.connect(world.token(), headers={"Origin": ORIGIN}) as ws:
        await say(ws, op="ping", id="x")
        assert (await hear(ws, "pong"))["id"] == "x"


async def test_a_cookie_of_nobody(world: World) -> None:
    async with world.connect(headers={"Cookie": f"{COOKIE}=bad", "Origin": ORIGIN}) as ws:
        assert (await closed_with(ws))[0] == 4401


async def test_another_path_is_not_here(world: World) -> None:
    with pytest.raises(websockets.InvalidStatus) as refused:
        await world.connect(world.token(), path="/api/v1/other")
    assert refused.value.response.status_code == 404


async def test_revoked_session_and_user(world: World) -> None:
    now = world.forger.now
    async with (
        world.connect(world.token(sid="gone", sub="v1")) as one,
        world.connect(world.token(sid="s-v2", sub="gone-user")) as two,
        world.connect(world.token(sid="stays", sub="v3")) as three,
    ):
        for ws in (one, two, three):
            await say(ws, op="ping", id=1)
            await hear(ws, "pong")
        world.verifier.revocations.add([Revoked(at=now * 1_000_000, session_id="gone")])
        assert await closed_with(one) == (4401, "AUTH-105 Your session has ended")
        world.verifier.revocations.add([Revoked(at=(now + 1) * 1_000_000, subject="gone-user")])
        assert (await closed_with(two))[0] == 4401
        await say(three, op="ping", id=2)
        assert (await hear(three, "pong"))["id"] == 2
    async with world.connect(world.token(sid="gone", sub="v1")) as ws:
        assert (await closed_with(ws))[0] == 4401


async def test_a_bearer_token_ends_and_a_cookie_is_renewed(world: World) -> None:
    now = world.forger.now
    short = {"iat": now - 100, "exp": now + 3}
    world.up.cookies["renewed"] = world.token(sid="c", sub="c", **short)
    headers = {"Cookie": f"{COOKIE}=renewed", "Origin": ORIGIN}
    async with (
        world.connect(world.token(sid="b", sub="b", **short)) as bearer,
        world.connect(headers=headers) as cookie,
    ):
        await say(cookie, op="ping", id=1)
        await hear(cookie, "pong")
        before = world.up.resolved
        world.up.cookies["renewed"] = world.token(sid="c", sub="c")
        assert await closed_with(bearer) == (4401, "AUTH-105 Your session has ended")
        await until(lambda: world.up.resolved > before)
        await say(cookie, op="ping", id=2)
        assert (await hear(cookie, "pong"))["id"] == 2


async def test_the_oldest_socket_of_a_user_makes_room() -> None:
    async with running(sockets_per_user=2) as world:
        first = await world.connect(world.token())
        await say(first, op="ping", id=1)
        await hear(first, "pong")
        second, third = await world.connect(world.token()), await world.connect(world.token())
        assert (await closed_with(first))[0] == 4409
        for ws in (second, third):
            await say(ws, op="ping", id=1)
            await hear(ws, "pong")
            await ws.close()


# ---- hostile clients


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("{", 4400),
        ("[]", 4400),
        ("null", 4400),
        ('"x"', 4400),
        ("", 4400),
        ('{"op":"ping","op":"ping"}', 4400),
        ('{"op":NaN}', 4400),
        ("[" * 5_000, 4400),
        ('{"op":"ping","id":' + "9" * 400 + "}", 4400),
        (b"{}", 4400),
        ("x" * 70_000, 1009),
        ("x" * 3_000_000, 1009),
        ('{"op":"\\ud800"}', 4400),
    ],
    ids=lambda v: str(v)[:20],
)
async def test_garbage_closes_the_socket(world: World, message: str | bytes, code: int) -> None:
    async with world.connect(world.token()) as ws:
        await ws.send(message)
        got, reason = await closed_with(ws)
        assert got == code
        assert code == 1009 or (reason or "").startswith("WS-501")


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ({"op": "fly"}, "WS-501"),
        ({}, "WS-501"),
        ({"op": "subscribe"}, "WS-505"),
        ({"op": "subscribe", "channel": "secrets"}, "WS-505"),
        ({"op": "subscribe", "channel": 7}, "WS-505"),
        ({"op": "subscribe", "channel": "ticks"}, "WS-501"),
        ({"op": "subscribe", "channel": "ticks", "instrumentIds": []}, "WS-501"),
        ({"op": "subscribe", "channel": "ticks", "instrumentIds": [1]}, "WS-501"),
        ({"op": "subscribe", "channel": "ticks", "instrumentIds": ["x" * 65]}, "WS-501"),
        (
            {"op": "subscribe", "channel": "ticks", "instrumentIds": [f"I{n}" for n in range(201)]},
            "MD-401",
        ),
        ({"op": "subscribe", "channel": "rfqs", "instrumentIds": ["EURUSD"]}, "WS-501"),
        ({"op": "subscribe", "channel": "rfqs", "extra": 1}, "WS-501"),
        ({"op": "ping", "id": [1]}, "WS-501"),
        ({"op": "ping", "id": True}, "WS-501"),
    ],
    ids=lambda v: str(v)[:50],
)
async def test_wrong_messages_are_answered_and_the_socket_stays(
    world: World, message: dict[str, object], code: str
) -> None:
    async with world.connect(world.token()) as ws:
        await say(ws, **message)
        assert (await hear(ws, "error"))["items"][0]["code"] == code
        await say(ws, op="ping", id=3)
        assert (await hear(ws, "pong"))["id"] == 3


async def test_too_many_messages() -> None:
    async with (
        running(messages_per_second=1, message_burst=5) as world,
        world.connect(world.token()) as ws,
    ):
        for n in range(10):
            await say(ws, op="ping", id=n)
        code, reason = await closed_with(ws)
        assert code == 4400 and reason and reason.startswith("WS-504")


async def test_fragments_are_not_taken(world: World) -> None:
    async with world.connect(world.token()) as ws:
        await ws.send(['{"op":', '"ping"}'])
        assert (await closed_with(ws))[0] == 4400


async def test_a_slow_client_is_cut_and_others_are_not_held_up() -> None:
    config = {"soft_kb": 4, "hard_kb": 16, "kernel_kb": 4, "slow_seconds": 1}
    async with running(**config) as world:
        slow = await raw_socket(world)
        async with world.connect(world.token(sub="quick", sid="q")) as quick:
            for ws in (quick,):
                await say(ws, op="subscribe", channel="rfqs")
                await hear(ws, "snapshot", "rfqs")
            await until(lambda: len(world.edge.channels["rfqs"]._sockets["alpha"]) == 2)
            number = 0
            while len(world.edge.roll) == 2:
                number += 1
                world.up.rfqs.push(rfq_pb2.RFQUpdate(items=[rfq(number, reason="x" * 4_000)]))
                frame = await hear(quick, "update", "rfqs")
                assert frame["items"][0]["displayId"] == f"R-{number}"
                assert number < 20_000
        slow.close()


async def raw_socket(world: World) -> socket.socket:
    """A client that subscribes and never reads."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(sock, ("127.0.0.1", world.port))
    token = world.token(sub="slow", sid="slow")
    head = (
        "GET /api/v1/stream HTTP/1.1\r\nHost: localhost\r\n"
        "Upgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        f"Authorization: Bearer {token}\r\n\r\n"
    )
    message = b'{"op":"subscribe","channel":"rfqs"}'
    frame = bytes([0x81, 0x80 | len(message), 0, 0, 0, 0]) + message
    await loop.sock_sendall(sock, head.encode() + frame)
    return sock


async def test_stop_says_goodbye() -> None:
    async with running() as world:
        ws = await world.connect(world.token())
        await say(ws, op="ping", id=1)
        await hear(ws, "pong")
    assert (await closed_with(ws))[0] == 1012
