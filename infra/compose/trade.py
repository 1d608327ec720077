"""One trade through the door, as a browser's user: `python infra/compose/trade.py SECRETS [USER]`.
Signs in at Keycloak, hears prices on the stream, asks, accepts, and finds the trade in the blotter.
"""

from __future__ import annotations

import html
import json
import re
import secrets
import ssl
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx
from websockets.sync.client import connect

DEMO = dict(
    line.split("=", 1)
    for line in Path(__file__).with_name("demo.env").read_text().splitlines()
    if "=" in line and not line.startswith("#")
)
DOOR = DEMO["ORION_PUBLIC_URL"]
WAIT_S = 60.0


def sign_in(web: httpx.Client, user: str) -> None:
    """By Keycloak's page, to our own door and back."""
    page = web.get(f"{DOOR}/auth/login")
    found = re.search(r'<form[^>]+action="([^"]+)"', page.text)
    assert page.status_code == 200 and found, (page.status_code, str(page.url), page.text[:400])
    form = {"username": user, "password": DEMO["DEMO_PASSWORD"]}
    done = web.post(urljoin(str(page.url), html.unescape(found[1])), data=form)
    assert str(done.url).startswith(DOOR), (done.status_code, str(done.url), done.text[:400])


def price(context: ssl.SSLContext, web: httpx.Client) -> str:
    """The first price that the stream brings."""
    jar = "; ".join(f"{c.name}={c.value}" for c in web.cookies.jar if c.domain.startswith("orion"))
    url = DOOR.replace("https:", "wss:") + "/api/v1/stream"
    headers = {"Cookie": jar}
    with connect(url, ssl=context, origin=DOOR, additional_headers=headers) as stream:  # type: ignore[arg-type]
        stream.send(
            json.dumps({"op": "subscribe", "channel": "ticks", "instrumentIds": ["EURUSD"]})
        )
        for _ in range(200):
            text = stream.recv(timeout=WAIT_S)
            if "EURUSD" in str(text) and '"ticks"' in str(text):
                return str(text)[:120]
    raise AssertionError("no price came")


def until(web: httpx.Client, path: str, is_there: Any) -> Any:
    """Asks again until it holds."""
    end = time.monotonic() + WAIT_S
    while True:
        found = web.get(f"{DOOR}/api/v1{path}").json()
        if is_there(found):
            return found
        assert time.monotonic() < end, found
        time.sleep(0.1)


def command(web: httpx.Client, path: str, body: Any) -> Any:
    headers = {"Origin": DOOR, "Idempotency-Key": secrets.token_hex(16)}
    answer = web.post(f"{DOOR}/api/v1{path}", json=body, headers=headers)
    assert answer.status_code < 300, answer.text
    return answer.json()


def main(folder: str, user: str = "trader@alpha") -> int:
    context = ssl.create_default_context(cafile=f"{folder}/door/tls/ca.pem")
    with httpx.Client(verify=context, follow_redirects=True, timeout=30) as web:
        print("ready:", until(web, "/readyz", lambda told: told.get("status") == "ok"))
        sign_in(web, user)
        print("signed in:", web.get(f"{DOOR}/api/v1/me").json().get("user"))
        print("stream:", price(context, web))
        terms = {"instrumentId": "EURUSD", "side": "BUY", "size": "1000000", "expirySeconds": 30}
        rfq = command(web, "/rfqs", terms)
        rfq = until(web, f"/rfqs/{rfq['rfqId']}", lambda told: told.get("bestQuoteId"))
        choice = {"quoteId": rfq["bestQuoteId"], "version": rfq["version"]}
        command(web, f"/rfqs/{rfq['rfqId']}/accept", choice)
        ended = ("TRADED", "REJECTED", "EXPIRED", "CANCELLED")
        rfq = until(web, f"/rfqs/{rfq['rfqId']}", lambda told: told["status"] in ended)
        print("rfq:", rfq["displayId"], rfq["status"])
        wanted = rfq["rfqId"]
        listed = until(web, "/trades", lambda told: wanted in json.dumps(told))
        print("blotter:", next(t for t in listed["items"] if t["rfqId"] == wanted)["displayId"])
        head = web.get(f"{DOOR}/").headers
        print("headers:", head.get("content-security-policy", "")[:40], head.get("x-frame-options"))
        print("metrics:", web.get(f"{DOOR}/metrics").status_code)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
