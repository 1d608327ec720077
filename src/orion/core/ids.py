"""Ids. Each starts with a slot (four hex digits) that fixes its partition, so that what belongs
together stays together.

An id is 30 characters: the slot, then 128 bits in lower-case base32. Callers treat it as opaque.
Derived ids let a retry reach the same owner and make a doubled effect impossible.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b32encode
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
# Version 8 and the variant of RFC 9562, at their places in the 128 bits.
_UUID_8_BITS = (0x8 << 76) | (0x2 << 62)
_NOT_UUID_BITS = ~((0xF << 76) | (0x3 << 62))
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
    return f"{slot:04x}{b32encode(_digest(parts)).decode().rstrip('=').lower()}"


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
    number = int.from_bytes(total.digest(), "big") & _NOT_UUID_BITS | _UUID_8_BITS
    text = f"{number:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
