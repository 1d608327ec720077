"""The anchors after the database was put back to before: the file outside knows more than the
database, and a signed line says from where on that no longer counts.
"""

from __future__ import annotations

from collections.abc import Sequence

from orion.platform.store.port import Sql
from orion.services.audit import queries
from orion.services.audit.chain import anchor_line, line_digest, read_anchor
from orion.services.audit.outside import AnchorFile


class AnchorsDiffer(Exception):
    """The file and the database tell two stories of the same anchor: a person has to look."""


def anchored(lines: Sequence[str], key: bytes) -> dict[tuple[str, int], int]:
    """How many rows of each chain the anchors know. Raises AnchorsDiffer for a line that is not
    ours.
    """
    found: dict[tuple[str, int], int] = {}
    for number, line in enumerate(lines, 1):
        anchor = read_anchor(line, key)
        if anchor is None:
            raise AnchorsDiffer(f"anchor line {number} is not one of ours")
        for head in anchor.heads:
            found[head.chain] = max(found.get(head.chain, 0), head.next)
    return found


async def declare(
    sql: Sql,
    lines: Sequence[str],
    key: bytes,
    *,
    at: int,
    ranges: Sequence[tuple[str, int, int, int]],
) -> None:
    """Gives the database the lines that it has forgotten, and notes one that declares the ranges;
    `settle` writes that one outside. Raises AnchorsDiffer.
    """  # fmt: skip
    noted = await queries.anchors(sql)
    for seq, line, _ in noted:
        if seq > len(lines) or lines[seq - 1] != line:
            raise AnchorsDiffer(f"anchor {seq} differs between the file and the database")
    for seq in range(len(noted) + 1, len(lines) + 1):
        await queries.add_anchor(sql, seq, lines[seq - 1])
        await queries.confirm_anchor(sql, seq)
    previous = line_digest(lines[-1]) if lines else ""
    line = anchor_line(len(lines) + 1, at, previous, (), key, ranges)
    await queries.add_anchor(sql, len(lines) + 1, line)


async def settle(sql: Sql, anchors: AnchorFile) -> None:
    """Writes the newest anchor outside where it was noted only, and confirms it."""
    last = await queries.last_anchor(sql)
    if last is None or last[2]:
        return
    if last[1] not in anchors.lines()[-1:]:
        anchors.append(last[1])
    await queries.confirm_anchor(sql, last[0])
