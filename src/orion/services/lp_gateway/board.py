"""The board of open requests: who is asked, who has not answered, whose last look is pending.
Memory only, no await."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field

from orion.wire.stubs import lp_pb2

MAX_REMEMBERED = 50_000
Outgoing = tuple[str, lp_pb2.ToDealer]  # dealer, message


@dataclass(slots=True)
class OpenRequest:
    """One RFQ that dealers are being asked about."""

    tenant: str
    message: lp_pb2.ToDealer
    asked: frozenset[str]
    waiting: set[str]  # asked and not yet heard of
    last_look: Outgoing | None = None
    references: dict[str, str] = field(
        default_factory=dict
    )  # quoteId → the dealer's own name for it


class Board:
    """What a dealer must know now; every change names the messages that follow from it."""

    def __init__(self) -> None:
        self._open: dict[str, OpenRequest] = {}
        # Whose RFQ it was stays known for a while after its end: late answers must reach its
        # record.
        self._tenants: OrderedDict[str, str] = OrderedDict()

    def __len__(self) -> int:
        return len(self._open)

    def opened(
        self, tenant: str, request: lp_pb2.QuoteRequest, dealers: Iterable[str]
    ) -> list[Outgoing]:
        """An RFQ of this tenant was sent to these dealers."""
        asked = frozenset(dealers)
        message = lp_pb2.ToDealer(request=request)
        self._open[request.rfq_id] = OpenRequest(tenant, message, asked, set(asked))
        self._tenants[request.rfq_id] = tenant
        while len(self._tenants) > MAX_REMEMBERED:
            self._tenants.popitem(last=False)
        return [(lp, message) for lp in sorted(asked)]

    def tenant_of(self, rfq_id: str) -> str | None:
        """Whose RFQ it is or was; None when nobody was asked about it."""
        entry = self._open.get(rfq_id)
        return entry.tenant if entry else self._tenants.get(rfq_id)

    def answered(self, rfq_id: str, lp: str) -> None:
        """The dealer quoted or passed: it is not waited for any more."""
        if entry := self._open.get(rfq_id):
            entry.waiting.discard(lp)

    def last_look(self, lp: str, asked: lp_pb2.LastLookRequest) -> list[Outgoing]:
        """A quote was accepted and its dealer may still look."""
        entry = self._open.get(asked.rfq_id)
        message = lp_pb2.ToDealer(last_look=asked)
        if entry is not None:
            entry.last_look = (lp, message)
        return [(lp, message)]

    def looked(self, rfq_id: str) -> None:
        """The last look is over (either way)."""
        if entry := self._open.get(rfq_id):
            entry.last_look = None

    def ended(
        self, rfq_id: str, how: str, winner: str | None, quote_id: str | None
    ) -> list[Outgoing]:
        """The RFQ is over for its dealers. The winner alone learns which quote it was."""
        entry = self._open.pop(rfq_id, None)
        if entry is None:
            return []
        lost = lp_pb2.ToDealer(
            ended=lp_pb2.RequestEnded(rfq_id=rfq_id, how="TRADED_AWAY" if winner else how)
        )
        won = lp_pb2.ToDealer(
            ended=lp_pb2.RequestEnded(rfq_id=rfq_id, how="TRADED_WITH_YOU", quote_id=quote_id)
        )
        return [(lp, won if lp == winner else lost) for lp in sorted(entry.asked)]

    def open_for(self, lp: str, now: int) -> list[lp_pb2.ToDealer]:
        """What a dealer that (re)connects is told: every open request it was asked, and a pending
        last look."""
        told: list[lp_pb2.ToDealer] = []
        for entry in self._open.values():
            if lp in entry.asked and entry.message.request.expires_at_us > now:
                told.append(entry.message)
            if entry.last_look and entry.last_look[0] == lp:
                told.append(entry.last_look[1])
        return told

    def unanswered(self, lp: str) -> list[str]:
        """The open RFQs this dealer has not answered."""
        return [rfq_id for rfq_id, entry in self._open.items() if lp in entry.waiting]

    def forget_before(self, now: int, slack: int) -> int:
        """Drops requests whose end was never heard of (a gap in what was read back). Returns how
        many."""
        gone = [
            rfq_id
            for rfq_id, entry in self._open.items()
            if entry.message.request.expires_at_us + slack < now
        ]
        for rfq_id in gone:
            del self._open[rfq_id]
        return len(gone)
