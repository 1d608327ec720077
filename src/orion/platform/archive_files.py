"""How the archive lies in its blobs: names, Parquet files, pages of the manifest.

    <env>/<topic>.v<major>/date=YYYY-MM-DD/tenant=<tenant>/part-<p>-<first>-<last>.parquet
    <env>/<topic>.v<major>/manifest/date=YYYY-MM-DD/part-<p>-<first>.json
    <env>/<topic>.v<major>/checkpoint.json

A *stretch* is what is written at once: the records of one partition from `first` to `last`, all of
one day (UTC, by the records' own time). Each tenant's records in it are one file; a page of the
manifest names these files with their checksums, and makes them count. A page's name holds where
the stretch begins and not where it ends, and is only ever created: so for each position there is
one stretch, whoever writes. Pages of a partition are chained by their checksums.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from orion.platform.bus.port import Record
from orion.platform.bus.topics import Topic

SCHEMA = 1
LEVEL = 3  # of zstd: beyond it a percent smaller for twice the time
ROW_GROUP = 20_000
_SAFE = re.compile(r"[^A-Za-z0-9._-]")
_FILE = re.compile(r"date=([0-9-]{10})/tenant=([^/]*)/part-(\d{4})-(\d{16})-(\d{16})\.parquet$")
_PAGE = re.compile(r"manifest/date=([0-9-]{10})/part-(\d{4})-(\d{16})\.json$")


class File(msgspec.Struct, frozen=True):
    """One Parquet file. `first` and `last` are the offsets of this tenant's records in it."""

    name: str
    tenant: str
    first: int
    last: int
    rows: int
    bytes: int
    sha256: str


class Page(msgspec.Struct, frozen=True):
    """A page of the manifest: one stretch. `previous`: the SHA-256 of the partition's page before
    ("" for the first one).
    """

    schema: int
    topic: str
    date: str
    part: int
    first: int
    last: int
    rows: int
    previous: str
    files: list[File]


class Mark(msgspec.Struct, frozen=True):
    """How far a partition is archived: the next offset, the checksum of its last page, and the day
    from which on newer pages may lie.
    """

    end: int = 0
    page: str = ""
    since: str = ""


class Checkpoint(msgspec.Struct, frozen=True):
    """The marks of a topic. Only a hint: the pages tell the truth."""

    marks: dict[int, Mark]


@dataclass(frozen=True, slots=True)
class FileName:
    """What a file's name says: the bounds are those of its whole stretch."""

    date: str
    part: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class PageName:
    """What a page's name says."""

    date: str
    part: int
    first: int


def folder(env: str, topic: Topic) -> str:
    """Where a topic's archive lies."""
    return f"{env}/{topic.key}.v{topic.major}"


def day(at: int) -> str:
    """The day of an instant, UTC."""
    return datetime.fromtimestamp(at // 1_000_000, UTC).strftime("%Y-%m-%d")


def file_name(top: str, date: str, tenant: str, part: int, *, first: int, last: int) -> str:
    """The name of a tenant's file of a stretch."""
    spelt = _SAFE.sub(lambda m: "".join(f"+{b:02x}" for b in m[0].encode()), tenant)
    return f"{top}/date={date}/tenant={spelt}/part-{part:04}-{first:016}-{last:016}.parquet"


def read_file_name(name: str) -> FileName | None:
    """None when it is not the name of one."""
    found = _FILE.search(name)
    if found is None:
        return None
    date, _, part, first, last = found.groups()
    return FileName(date, int(part), int(first), int(last))


def page_name(top: str, date: str, part: int, first: int) -> str:
    """The name of a page."""
    return f"{top}/manifest/date={date}/part-{part:04}-{first:016}.json"


def read_page_name(name: str) -> PageName | None:
    """None when it is not the name of one."""
    found = _PAGE.search(name)
    return PageName(found[1], int(found[2]), int(found[3])) if found else None


def digest(body: bytes) -> str:
    """SHA-256, hex."""
    return hashlib.sha256(body).hexdigest()


def to_json(value: Page | Checkpoint) -> bytes:
    """The same value gives the same bytes."""
    return msgspec.json.format(msgspec.json.encode(value), indent=1)


def by_tenant(records: Sequence[Record]) -> Mapping[str, list[Record]]:
    """Each tenant's records, in their order."""
    found: dict[str, list[Record]] = {}
    for record in records:
        found.setdefault(record.tenant, []).append(record)
    return dict(sorted(found.items()))


def _schema(topic: str) -> Any:
    import pyarrow as pa  # pyright: ignore[reportMissingImports]

    fields = [
        pa.field("part", pa.int32(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("at", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("tenant", pa.string(), nullable=False),
        pa.field("entity", pa.string(), nullable=False),
        pa.field("seq", pa.int64(), nullable=False),
        pa.field("type", pa.string(), nullable=False),
        pa.field("event_id", pa.string(), nullable=False),
        pa.field("body", pa.binary(), nullable=False),
    ]
    return pa.schema(fields, metadata={"orion.schema": str(SCHEMA), "orion.topic": topic})


def encode(topic: str, records: Sequence[Record]) -> bytes:
    """A Parquet file. The same records give the same bytes (of one version of the library). Takes
    CPU: call it in a thread.
    """
    import pyarrow as pa  # pyright: ignore[reportMissingImports]
    import pyarrow.parquet as pq  # pyright: ignore[reportMissingImports]

    schema = _schema(topic)
    columns = [
        pa.array([getattr(r, f.name) for r in records], pa.int64()).cast(f.type)
        if f.name in ("part", "offset", "at", "seq")
        else pa.array([getattr(r, f.name) for r in records], f.type)
        for f in schema
    ]
    out = pa.BufferOutputStream()
    options: dict[str, Any] = {
        "compression": "zstd",
        "compression_level": LEVEL,
        "row_group_size": ROW_GROUP,
        "use_dictionary": ["tenant", "type", "entity"],
        "column_encoding": dict.fromkeys(("part", "offset", "at", "seq"), "DELTA_BINARY_PACKED"),
        "write_statistics": ["offset", "at"],
    }
    pq.write_table(pa.Table.from_arrays(columns, schema=schema), out, **options)
    return out.getvalue().to_pybytes()


class Unreadable(Exception):
    """The bytes are no file of the archive, or of a newer version of it."""


def decode(body: bytes) -> list[Record]:
    """The records of a file, byte for byte as they were. Raises Unreadable. Call it in a thread."""
    import pyarrow as pa  # pyright: ignore[reportMissingImports]
    import pyarrow.parquet as pq  # pyright: ignore[reportMissingImports]

    try:
        table = pq.read_table(pa.BufferReader(body), use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise Unreadable(str(error).splitlines()[0]) from error
    about = table.schema.metadata or {}
    if int(about.get(b"orion.schema", b"0")) not in range(1, SCHEMA + 1):
        raise Unreadable(f"its schema is {about.get(b'orion.schema')!r}")
    topic = about[b"orion.topic"].decode()
    names = ("part", "offset", "at", "tenant", "entity", "seq", "type", "event_id", "body")
    columns = [
        (table.column(n).cast(pa.int64()) if n == "at" else table.column(n)).to_pylist()
        for n in names
    ]
    return [Record(topic, *row) for row in zip(*columns, strict=True)]
