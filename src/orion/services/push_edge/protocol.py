"""What a client may say, read strictly."""

from __future__ import annotations

from dataclasses import dataclass

from orion.platform.errors import Coded
from orion.wire.json_in import NotJson, loads

OPS = ("subscribe", "unsubscribe", "ping")
CHANNELS = ("ticks", "rfqs", "trades", "notifications")
MAX_ID_CHARS = 64
MAX_PING_CHARS = 64


class Refused(Exception):
    """The message is well-formed JSON but asks for what there is not: told to the client, the
    socket stays.
    """

    def __init__(self, code: str, detail: str, op: str | None = None, channel: str | None = None):
        self.code, self.detail, self.op, self.channel = code, detail, op, channel
        super().__init__(f"{code} {detail}")


@dataclass(frozen=True, slots=True)
class Ask:
    """A valid message."""

    op: str
    channel: str = ""
    instrument_ids: tuple[str, ...] = ()
    ping_id: int | float | str | None = None


def read(text: bytes, most_ids: int) -> Ask:
    """The message. Raises Coded WS-501 for what is no JSON object (the socket is closed), Refused
    for the rest.
    """
    try:
        message = loads(text)
    except NotJson as error:
        raise Coded("WS-501", str(error)) from None
    if not isinstance(message, dict):
        raise Coded("WS-501", "A message is a JSON object")
    op = message.pop("op", None)
    if op == "ping":
        return _ping(message)
    if op not in OPS or not isinstance(op, str):
        raise Refused("WS-501", "op must be subscribe, unsubscribe or ping")
    channel = message.pop("channel", None)
    if not isinstance(channel, str) or channel not in CHANNELS:
        raise Refused("WS-505", f"channel must be one of {', '.join(CHANNELS)}", op)
    ids = message.pop("instrumentIds", None)
    if message:
        raise Refused("WS-501", "the message has fields that are not known", op, channel)
    if channel != "ticks":
        if ids is not None:
            raise Refused("WS-501", f"instrumentIds do not belong to {channel}", op, channel)
        return Ask(op, channel)
    return Ask(op, channel, _ids(ids, most_ids, op))


def _ping(message: dict[str, object]) -> Ask:
    number = message.pop("id", None)
    if message or isinstance(number, bool) or not isinstance(number, int | float | str | None):
        raise Refused("WS-501", "a ping has an id and nothing else", "ping")
    if isinstance(number, str) and len(number) > MAX_PING_CHARS:
        raise Refused("WS-501", "the id of a ping is too long", "ping")
    return Ask("ping", ping_id=number)


def _ids(ids: object, most: int, op: str) -> tuple[str, ...]:
    if not isinstance(ids, list) or not ids:
        raise Refused("WS-501", "instrumentIds must be a list that is not empty", op, "ticks")
    if len(ids) > most:
        raise Refused("MD-401", f"at most {most} instruments in one message", op, "ticks")
    if not all(isinstance(i, str) and 0 < len(i) <= MAX_ID_CHARS for i in ids):
        raise Refused("WS-501", "instrumentIds must be texts", op, "ticks")
    return tuple(dict.fromkeys(ids))
