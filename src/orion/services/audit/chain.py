"""The tamper-evidence arithmetic, pure: hashes of rows, signatures of heads, lines of the anchor
file.

A row's hash covers the row and the hash before it, so a change shows in everything after it.
Whoever can write the database could
recompute the hashes; the signature of the head needs a key that the database does not have. Whoever
restores an older head, signature
and all, contradicts the anchors.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

FIELDS = (
    "topic",
    "part",
    "offs",
    "at",
    "tenant",
    "entity_type",
    "entity",
    "seq",
    "type",
    "event_id",
    "service",
    "correlation",
    "body",
)
_COMMON = 4_096
_LENGTHS = tuple(length.to_bytes(8, "big") for length in range(_COMMON))


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the audit log without its hash."""

    topic: str
    part: int
    offs: int
    at: int
    tenant: str
    entity_type: str
    entity: str
    seq: int
    type: str
    event_id: str
    service: str
    correlation: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Head:
    """Where a chain stands: the offset of the next row and the hash of the last one."""

    topic: str
    part: int
    next: int
    hash: bytes
    signature: bytes = b""

    @property
    def chain(self) -> tuple[str, int]:
        return self.topic, self.part


@dataclass(frozen=True, slots=True)
class Anchor:
    """A line of the anchor file: heads that changed since the line before."""

    seq: int
    at: int
    previous: str
    heads: tuple[Head, ...]
    mac: str
    # (topic, part, first, until): rows that the lines before know and that a restore abandoned.
    abandoned: tuple[tuple[str, int, int, int], ...] = ()


def genesis(topic: str, part: int) -> Head:
    """The head of an empty chain."""
    return Head(topic, part, 0, _digest((b"orion audit chain", topic.encode(), str(part).encode())))


def extended(head: Head, rows: Iterable[Row]) -> tuple[Head, list[bytes]]:
    """The head after these rows, unsigned, and each row's hash. Asserts that the offsets follow one
    another.
    """
    hashes, last, offset = [], head.hash, head.next
    for row in rows:
        assert (row.topic, row.part, row.offs) == (*head.chain, offset), (
            "rows must follow the chain"
        )
        last = row_hash(last, row)
        hashes.append(last)
        offset += 1
    return replace(head, next=offset, hash=last, signature=b""), hashes


def row_hash(before: bytes, row: Row) -> bytes:
    """SHA-256 over the hash before and every column, in the order of FIELDS."""
    return _digest(
        (
            before, row.topic.encode(), str(row.part).encode(), str(row.offs).encode(),
            str(row.at).encode(), row.tenant.encode(), row.entity_type.encode(),
            row.entity.encode(), str(row.seq).encode(), row.type.encode(), row.event_id.encode(),
            row.service.encode(), row.correlation.encode(), row.body,
        )
    )  # fmt: skip


def signed(head: Head, key: bytes) -> Head:
    """The head with its signature."""
    return replace(head, signature=_head_mac(head, key))


def is_signed(head: Head, key: bytes) -> bool:
    """True when the signature is ours."""
    return hmac.compare_digest(head.signature, _head_mac(head, key))


def anchor_line(
    seq: int,
    at: int,
    previous: str,
    heads: Sequence[Head],
    key: bytes,
    abandoned: Sequence[tuple[str, int, int, int]] = (),
) -> str:
    """One line of the anchor file. `previous` is the digest of the line before ("" for the
    first).
    """
    body: dict[str, object] = {
        "seq": seq,
        "at": at,
        "previous": previous,
        "heads": [[h.topic, h.part, h.next, h.hash.hex(), h.signature.hex()] for h in heads],
    }
    if abandoned:
        body["abandoned"] = [list(one) for one in abandoned]
    body["mac"] = _line_mac(body, key)
    return json.dumps(body, separators=(",", ":"), sort_keys=True)


def read_anchor(line: str, key: bytes) -> Anchor | None:
    """The anchor of a line, or None when it is not one of ours."""
    try:
        body = json.loads(line)
        mac = body.pop("mac")
        if not hmac.compare_digest(str(mac), _line_mac(body, key)):
            return None
        heads = tuple(
            Head(topic, part, upto, bytes.fromhex(digest), bytes.fromhex(signature))
            for topic, part, upto, digest, signature in body["heads"]
        )
        abandoned = tuple((t, p, first, until) for t, p, first, until in body.get("abandoned", ()))
        return Anchor(body["seq"], body["at"], body["previous"], heads, mac, abandoned)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def line_digest(line: str) -> str:
    """What the next line says about this one."""
    return hashlib.sha256(line.encode()).hexdigest()


def _head_mac(head: Head, key: bytes) -> bytes:
    parts = (
        b"orion audit head",
        head.topic.encode(),
        str(head.part).encode(),
        str(head.next).encode(),
        head.hash,
    )
    return hmac.new(key, _joined(parts), hashlib.sha256).digest()


def _line_mac(body: dict[str, object], key: bytes) -> str:
    text = json.dumps(body, separators=(",", ":"), sort_keys=True).encode()
    return hmac.new(key, _joined((b"orion audit anchor", text)), hashlib.sha256).hexdigest()


def _joined(parts: Iterable[bytes]) -> bytes:
    # Length-prefixed: no two different rows give the same bytes.
    found: list[bytes] = []
    for part in parts:
        length = len(part)
        found.append(_LENGTHS[length] if length < _COMMON else length.to_bytes(8, "big"))
        found.append(part)
    return b"".join(found)


def _digest(parts: Iterable[bytes]) -> bytes:
    return hashlib.sha256(_joined(parts)).digest()
