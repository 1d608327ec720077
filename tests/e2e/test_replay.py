"""A recorded file through the whole platform: every row is accounted for at the far end."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest

from orion.services.marketdata_ingest import replay
from tests.stack import Stack, until
from tests.stack_clients import desk_of, feed_of

RECORDING = Path(replay.__file__).parent / "recordings" / "fx_quotes_2019-01-01.csv"
# The file's own instruments; crosses made from them are ticks on top.
LOGGED = """
    select count(*) as all, count(distinct event_id) as different from bus.log_hourly
    where entity like '%' || $1
    and convert_from(body, 'UTF8')::jsonb -> 'payload' ->> 'source' = 'REPLAY'
"""


def total(text: str, name: str, **labels: str) -> float:
    """The sum of a counter's samples with these labels."""
    found = 0.0
    for line in text.splitlines():
        hit = re.match(rf"^orion_{name}_total\{{(.*)\}} ([0-9.e+]+)$", line)
        if hit and all(f'{k}="{v}"' in hit[1] for k, v in labels.items()):
            found += float(hit[2])
    return found


@pytest.mark.timeout(400)
async def test_twenty_thousand_rows_are_accounted_for() -> None:
    rows = len(RECORDING.read_text().splitlines()) - 1
    assert rows == 20_000
    options = ["--replay", str(RECORDING), "--speed", "max", "--once"]
    async with Stack("replay", options) as stack, desk_of(stack, "platform@alpha") as desk:

        async def metrics() -> str:
            answer = await desk.get(f"{stack.url}/metrics")
            assert answer.status_code == 200, answer.text
            return answer.text

        async def all_taken() -> bool:
            return total(await metrics(), "md_rows_received", feed="REPLAY") >= rows

        await until(all_taken, 120, "all rows were taken", 0.5)
        seen = await metrics()
        dropped = total(seen, "md_rows_dropped", feed="REPLAY")
        assert total(seen, "md_rows_received", feed="REPLAY") == rows
        print(f"{rows} rows, {dropped:.0f} dropped with a reason")

        async def logged() -> tuple[int, int]:
            both = [(await stack.sql(LOGGED, name))[0] for name in ("EURUSD", "USDJPY")]
            return sum(r["all"] for r in both), sum(r["different"] for r in both)

        async def all_logged() -> bool:
            return (await logged())[0] >= rows - dropped

        await until(all_logged, 60, "what was not dropped lies in the log", 0.5)
        assert await logged() == (rows - dropped, rows - dropped)
        await _is_on_screen(stack)


async def _is_on_screen(stack: Stack) -> None:
    """The last price of the file is what a client is shown."""
    async with desk_of(stack, "trader@alpha") as desk, feed_of(stack, "trader@alpha") as feed:
        assert (await desk.get("/me")).json()["feed"]["mode"] == "REPLAY"
        await feed.subscribe("ticks", "EURUSD")
        shown = feed.ticks["EURUSD"]
        assert shown["source"] == "REPLAY"
        assert shown["sourceTimestamp"].startswith("2019-01-0")
        async with httpx.AsyncClient() as other:
            token = await stack.token("trader@alpha")
            answer = await other.get(
                f"{stack.url}/api/v1/market/snapshot?instrumentId=EURUSD",
                headers={"authorization": f"Bearer {token}"},
            )
        assert answer.json()["items"][0]["bid"] == shown["bid"]
