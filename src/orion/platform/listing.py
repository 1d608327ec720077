"""Lists of read models: newest first, page by page, with a condition per column. One function
serves every list call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from orion.platform.caller import Caller
from orion.platform.cursor import Cursors
from orion.platform.errors import Coded
from orion.platform.store.port import Database

DEFAULT_PAGE, LARGEST_PAGE = 50, 200
MAX_TEXT = 100


class Where:
    """Conditions with their parameters. Column names are ours; whatever a caller wrote is a
    parameter."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.values: list[Any] = []

    def add(self, condition: str, *values: Any) -> None:
        """Adds a condition; `{}` stands for its parameters in order."""
        marks = [f"${len(self.values) + n}" for n in range(1, len(values) + 1)]
        self.parts.append(condition.format(*marks))
        self.values.extend(values)

    def equal(self, column: str, value: Any) -> None:
        """column = value, unless there is no value."""
        if value not in (None, ""):
            self.add(f"{column} = {{}}", value)

    def number(self, column: str, text: str) -> None:
        """A column of decimals as text equals this number, however either is written. Raises
        API-100 for a text that is no plain number."""
        if not text:
            return
        try:
            number = Decimal(text)
        except InvalidOperation:
            number = Decimal("NaN")
        if not number.is_finite() or len(text) > MAX_TEXT:
            raise Coded("API-100", f"{column}: is not a plain decimal")
        self.add(f"{column}::numeric = {{}}::numeric", number)

    def among(self, column: str, values: Sequence[Any]) -> None:
        """column is one of the values, unless there are none."""
        if values:
            self.add(f"{column} = any ({{}})", list(values))

    def between(self, column: str, wanted: Any) -> None:
        """`from_us` ≤ column < `to_us` of a filter, where given."""
        if wanted.HasField("from_us"):
            self.add(f"{column} >= {{}}", wanted.from_us)
        if wanted.HasField("to_us"):
            self.add(f"{column} < {{}}", wanted.to_us)

    def contains(self, columns: Sequence[str], text: str) -> None:
        """One of the columns contains the text as it stands, whatever its case."""
        if not text:
            return
        escaped = text[:MAX_TEXT].replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        likes = " or ".join(f"{column} ilike {{0}}" for column in columns)
        self.add(f"({likes})", f"%{escaped}%")

    @property
    def text(self) -> str:
        """All conditions together."""
        return " and ".join(self.parts) or "true"


def visible(caller: Caller, reach: str) -> Where:
    """What the caller may see: rows of the tenant, of the desk, or one's own."""
    where = Where()
    where.add("tenant = {}", caller.tenant)
    if reach == "own":
        where.add("requester = {}", caller.user)
    elif reach == "desk":
        where.add("(desk = {} or requester = {})", caller.desk, caller.user)
    elif reach != "tenant":
        raise ValueError(f"no such reach: {reach}")
    return where


@dataclass(frozen=True, slots=True)
class Listing:
    """A read model that can be listed: sorted by the time `at`, then by `key`, newest first."""

    name: str
    table: str
    columns: str
    at: str
    key: str

    async def rows(
        self, sql: Any, where: Where, limit: int, after: tuple[int, str] | None = None
    ) -> list[Any]:
        """Rows behind `after`, one more than the limit when there are more."""
        if after is not None:
            where.add(f"({self.at}, {self.key}) < ({{}}, {{}})", *after)
        query = (
            f"select {self.columns} from {self.table} where {where.text} "  # noqa: S608 - ours
            f"order by {self.at} desc, {self.key} desc limit {limit + 1:d}"
        )
        return await sql.fetch(query, *where.values)


class Lists:
    """Gives out pages. `as_of` tells how far the read models have heard."""

    def __init__(self, database: Database, cursors: Cursors, as_of: Callable[[], Awaitable[int]]):
        self._database, self._cursors, self._as_of = database, cursors, as_of

    async def page(
        self, listing: Listing, caller: Caller, where: Where, page: Any
    ) -> tuple[list[Any], str, int]:
        """(rows, the next page's cursor or nothing, as of when). Raises API-110 for a cursor that
        this caller's list did not give out."""
        limit = min(page.limit or DEFAULT_PAGE, LARGEST_PAGE)
        mine = (listing.name, caller.tenant, caller.subject)
        after = None
        if page.cursor:
            at, key = self._cursors.open(mine, page.cursor, (int, str))
            after = (int(at), str(key))
        # Asked before the rows are read: what is shown is at least as new as it says.
        as_of = await self._as_of()
        async with self._database.read(caller.tenant) as sql:
            rows = await listing.rows(sql, where, limit, after)
        if len(rows) <= limit:
            return rows, "", as_of
        rows = rows[:limit]
        return rows, self._cursors.seal(mine, (rows[-1][listing.at], rows[-1][listing.key])), as_of
