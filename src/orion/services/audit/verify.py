"""`orion audit verify`: the chains, their signatures, the anchors and the bus's log must tell one
story.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orion.platform.store.port import Database, Sql
from orion.services.audit import queries
from orion.services.audit.chain import (
    Anchor,
    Head,
    genesis,
    is_signed,
    line_digest,
    read_anchor,
    row_hash,
)
from orion.services.audit.outside import AnchorFile, read_key
from orion.services.audit.recorder import topics

PAGE = 2000
MAX_VIOLATIONS = 200
Chain = tuple[str, int]


@dataclass
class Report:
    """What was checked, and everything that is wrong."""

    rows: int = 0
    chains: int = 0
    anchors: int = 0
    log_rows: int = 0
    violations: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        """Nothing is wrong. A report over nothing is clean too: look at `rows`."""
        return not self.violations

    def wrong(self, text: str) -> None:
        """Adds a violation."""
        if len(self.violations) < MAX_VIOLATIONS:
            self.violations.append(text)


async def verify_audit(database: Database, data_dir: Path, secrets_dir: Path) -> Report:
    """Checks everything. Works beside a running platform: it reads the anchors first and the rows
    they speak of later.

    What it cannot find: that database, anchor file and log together were put back to an older state
    that was once true. Copies of
    the anchor file kept on another machine show that.
    """
    report = Report()
    lines = AnchorFile(data_dir / "audit-anchors").lines()
    async with database.write("audit", []) as sql:
        noted = await queries.anchors(sql)
        extents = await queries.extents(sql)
    key = read_key(secrets_dir)
    if key is None:
        if extents or lines:
            report.wrong("the audit key is gone: nothing can be verified without it")
        return report
    points = _anchors(report, AnchorFile(data_dir / "audit-anchors").lines(), lines, noted, key)
    known = {(t, p) for t, parts in topics() for p in range(parts)}
    for chain in sorted(set(extents) | set(points)):
        if chain not in known:
            report.wrong(f"{_name(chain)}: no such topic and partition")
        head, upto = extents.get(chain, (None, 0))
        if head is not None and upto != head.next:
            report.wrong(f"{_name(chain)}: there are rows up to {upto}, the head says {head.next}")
        await _chain(report, database, chain, head, points.get(chain, {}), key)
    for chain in sorted(known):
        await _log(report, database, chain, extents.get(chain, (None, 0))[0])
    return report


def _name(chain: Chain) -> str:
    return f"{chain[0]}/{chain[1]}"


def _anchors(
    report: Report,
    now: Sequence[str],
    lines: Sequence[str],
    noted: Sequence[tuple[int, str, bool]],
    key: bytes,
) -> dict[Chain, dict[int, bytes]]:
    """The points the anchors fix: chain → next offset → hash."""
    points: dict[Chain, dict[int, bytes]] = {}
    before = ""
    for number, line in enumerate(lines, 1):
        anchor = read_anchor(line, key)
        if anchor is None:
            report.wrong(f"anchor line {number} is not one of ours")
        else:
            _fix(report, anchor, number, before, points, key)
        before = line_digest(line)
    report.anchors = len(lines)
    _compare_anchors(report, now, lines, noted)
    return points


def _fix(
    report: Report,
    anchor: Anchor,
    number: int,
    before: str,
    points: dict[Chain, dict[int, bytes]],
    key: bytes,
) -> None:
    if anchor.seq != number or anchor.previous != before:
        report.wrong(f"anchor {anchor.seq} does not follow the line before it (line {number})")
    for head in anchor.heads:
        if not is_signed(head, key):
            report.wrong(
                f"anchor {anchor.seq}: the head of {_name(head.chain)} is not signed by us"
            )
        points.setdefault(head.chain, {})[head.next] = head.hash
    _excuse(report, anchor, points)


def _excuse(report: Report, anchor: Anchor, points: dict[Chain, dict[int, bytes]]) -> None:
    """What this line declares abandoned, the lines before it may know otherwise."""
    for topic, part, first, until in anchor.abandoned:
        of = points.get((topic, part), {})
        gone = [upto for upto in of if first < upto <= until]
        for upto in gone:
            del of[upto]
        report.notes.append(
            f"{topic}/{part}: a restore abandoned rows {first} to {until - 1}"
            f" ({len(gone)} anchored heads, anchor {anchor.seq})"
        )


def _compare_anchors(
    report: Report, now: Sequence[str], lines: Sequence[str], noted: Sequence[tuple[int, str, bool]]
) -> None:
    inside = {seq: line for seq, line, _ in noted}
    unsure = {seq for seq, _, confirmed in noted if not confirmed}
    for number, line in enumerate(lines, 1):
        if inside.get(number) != line:
            report.wrong(f"anchor {number} differs between the file and the database")
    for seq in sorted(inside):
        # A line may have been written while we looked; one that is noted but not confirmed may be
        # on its way.
        if seq <= len(lines) or seq <= len(now):
            continue
        if seq in unsure and seq == max(inside) and seq == len(now) + 1:
            report.notes.append(f"anchor {seq} is noted and not written outside yet")
        else:
            report.wrong(f"anchor {seq} is missing from the file")


async def _chain(
    report: Report,
    database: Database,
    chain: Chain,
    head: Head | None,
    points: dict[int, bytes],
    key: bytes,
) -> None:
    report.chains += 1
    if head is None:
        report.wrong(f"{_name(chain)}: the chain has no head")
        return
    if not is_signed(head, key):
        report.wrong(f"{_name(chain)}: the head is not signed by us")
    last, offset = genesis(*chain).hash, 0
    missing = {upto: digest for upto, digest in points.items() if upto > head.next}
    while True:
        async with database.write("audit", []) as sql:
            page = await queries.rows_of(sql, *chain, offset, head.next, PAGE)
        for row, kept in page:
            if row.offs != offset:
                report.wrong(f"{_name(chain)}: row {offset} is missing")
                offset, last = row.offs, b""  # the hash of this row cannot be right either
            last = row_hash(last, row)
            if last != kept:
                report.wrong(f"{_name(chain)}: row {row.offs} is not what was recorded")
                last = kept
            offset += 1
            _at_point(report, chain, points, offset, last)
        report.rows += len(page)
        if len(page) < PAGE:
            break
    if offset != head.next or last != head.hash:
        report.wrong(
            f"{_name(chain)}: the rows end at {offset}, the head says {head.next} or another hash"
        )
    for upto in missing:
        report.wrong(f"{_name(chain)}: an anchor knows {upto} rows, the head only {head.next}")


def _at_point(
    report: Report, chain: Chain, points: dict[int, bytes], offset: int, last: bytes
) -> None:
    if offset in points and points[offset] != last:
        report.wrong(f"{_name(chain)}: an anchor knows another row {offset - 1}")


async def _log(report: Report, database: Database, chain: Chain, head: Head | None) -> None:
    """Row by row against the bus's log, as far back as the log is kept."""
    upto = head.next if head else 0
    async with database.write("audit", []) as sql:
        first, log_next = await queries.log_span(sql, *chain)
    if upto > log_next:
        report.wrong(f"{_name(chain)}: {upto} rows recorded, the log gave out only {log_next}")
    if first is None:
        if upto > 0 and log_next:
            report.notes.append(f"{_name(chain)}: the log keeps nothing to compare with")
        return
    offset = first
    while offset < upto:
        async with database.write("audit", []) as sql:
            here, there = await _both(sql, chain, offset, min(upto, offset + PAGE))
        for number in range(offset, min(upto, offset + PAGE)):
            if number not in there:
                report.wrong(f"{_name(chain)}: event {number} is missing from the log")
            elif number not in here:
                report.wrong(f"{_name(chain)}: event {number} of the log was not recorded")
            elif here[number] != there[number]:
                report.wrong(f"{_name(chain)}: event {number} differs between log and audit")
        report.log_rows += len(there)
        offset += PAGE


async def _both(
    sql: Sql, chain: Chain, offset: int, upto: int
) -> tuple[dict[int, Any], dict[int, Any]]:
    mine = await queries.rows_of(sql, *chain, offset, upto, PAGE)
    here = {r.offs: (r.at, r.tenant, r.entity, r.seq, r.type, r.event_id, r.body) for r, _ in mine}
    rows = await queries.log_slice(sql, *chain, offset, upto, PAGE)
    there = {
        r["offs"]: (
            r["at"],
            r["tenant"],
            r["entity"],
            r["seq"],
            r["type"],
            r["event_id"],
            r["body"],
        )
        for r in rows
    }
    return here, there
