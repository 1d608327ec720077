"""Ids. Each starts with a slot (four hex digits) that fixes its partition, so that what belongs
together stays together.

An id is 30 characters: the slot, then 128 bits in lower-case base32. Callers treat it as opaque.
Derived ids let a retry reach the same owner and make a doubled effect impossible.
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from typing import NewType

RfqId = NewType("RfqId", str)
QuoteId = NewType("QuoteId", str)
TradeId = NewType("TradeId", str)
CorrelationId = NewType("CorrelationId", str)
InstrumentId = NewType("InstrumentId", str)
LpId = NewType("LpId", str)
VenueId = NewType("VenueId", str)
TenantId = NewType("TenantId", str)

SLOTS = 65_536
# The variant of RFC 9562: the two highest bits of the digit at its place are 10.
_VARIANT = {f"{n:x}": f"{0x8 | n & 0x3:x}" for n in range(16)}
_BASE32 = "abcdefghijklmnopqrstuvwxyz234567"
_PAIRS = [high + low for high in _BASE32 for low in _BASE32]  # ten bits at a time
_SHAPE = re.compile(r"[0-9a-f]{4}[a-z2-7]{26}")


def _prefixed(parts: tuple[str, ...]) -> bytes:
    # Length-prefixed, so ("ab", "c") and ("a", "bc") differ.
    pieces: list[bytes] = []
    for part in parts:
        raw = part.encode()
        pieces += (len(raw).to_bytes(4, "big"), raw)
    return b"".join(pieces)


def _digest(parts: tuple[str, ...]) -> bytes:
    return hashlib.blake2b(_prefixed(parts), digest_size=16).digest()


@lru_cache(maxsize=1024)
def _event_hash(tenant: str, entity_type: str) -> hashlib.blake2b:
    """The hash after the parts that many events share; to be copied, never to be updated."""
    return hashlib.blake2b(_prefixed(("event", tenant, entity_type)), digest_size=16)


def slot_of(*parts: str) -> int:
    """The slot (0..65535) of a name such as (tenant, requester)."""
    return int.from_bytes(_digest(parts)[:2], "big")


def derived(slot: int, *parts: str) -> str:
    """The id that these parts always give, in the given slot."""
    n, t = int.from_bytes(_digest(parts), "big") << 2, _PAIRS
    return (
        f"{slot:04x}{t[n >> 120]}{t[n >> 110 & 1023]}{t[n >> 100 & 1023]}{t[n >> 90 & 1023]}"
        f"{t[n >> 80 & 1023]}{t[n >> 70 & 1023]}{t[n >> 60 & 1023]}{t[n >> 50 & 1023]}"
        f"{t[n >> 40 & 1023]}{t[n >> 30 & 1023]}{t[n >> 20 & 1023]}{t[n >> 10 & 1023]}"
        f"{t[n & 1023]}"
    )


def slot_in(entity_id: str) -> int:
    """The slot an id starts with. Raises ValueError when it is not an id of ours."""
    if not _SHAPE.fullmatch(entity_id):
        raise ValueError("not an id")
    return int(entity_id[:4], 16)


def partition_of(entity_id: str, partitions: int) -> int:
    """The partition an id lives in."""
    return slot_in(entity_id) % partitions


def is_id(text: str) -> bool:
    """True when the text has the shape of an id."""
    return _SHAPE.fullmatch(text) is not None


def rfq_id(tenant: str, requester: str, subject: str, key: str) -> RfqId:
    """The RFQ that this caller's idempotency key stands for; in the slot of (tenant, requester)."""
    return RfqId(derived(slot_of(tenant, requester), "rfq", tenant, subject, key))


def quote_id(rfq: str, lp: str, dealer_quote_ref: str) -> QuoteId:
    """The quote a dealer named `dealer_quote_ref` on this RFQ."""
    return QuoteId(derived(slot_in(rfq), "quote", rfq, lp, dealer_quote_ref))


def trade_id(rfq: str, quote: str) -> TradeId:
    """The only trade that this quote of this RFQ can become."""
    return TradeId(derived(slot_in(rfq), "trade", rfq, quote))


def correlation_id(rfq: str) -> CorrelationId:
    """The correlation id of everything that follows from this RFQ."""
    return CorrelationId(derived(slot_in(rfq), "correlation", rfq))


def event_id(tenant: str, entity_type: str, entity_id: str, sequence: int) -> str:
    """The UUID text (version 8, RFC 9562) of an event:
    the same entity and sequence give the same id.
    """
    total = _event_hash(tenant, entity_type).copy()
    total.update(_prefixed((entity_id, str(sequence))))
    text = total.hexdigest()
    return f"{text[:8]}-{text[8:12]}-8{text[13:16]}-{_VARIANT[text[16]]}{text[17:20]}-{text[20:]}"
