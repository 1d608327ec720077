"""The RFQ for the owner: core decides, this hands it time and number, and writes down what follows.

Everything here is quick and repeatable: after a failed write the owner may decide the same command
again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from orion.core.decider import Recorded, Reject
from orion.core.ids import event_id
from orion.core.records import changed
from orion.core.rfq import commands as c
from orion.core.rfq import events as e
from orion.core.rfq.decide import decide
from orion.core.rfq.state import Rfq, fold
from orion.core.rfq.view import is_live, next_deadline
from orion.core.rfq.words import DealerStatus, Status, display_number
from orion.core.values import SECOND
from orion.platform.bus.port import Record
from orion.platform.errors import catalogue
from orion.platform.transact import Context, Decided, Fact, Snapshot
from orion.wire.envelope import decode, encode
from orion.wire.proto import rfq_to_bytes
from orion.wire.states import SCHEMAS, decode_state, encode_state
from orion.wire.stubs import rfq_pb2

LIFECYCLE = "rfq.lifecycle"
QUOTES = "rfq.quotes"
MINUTE = 60 * SECOND
MAX_RECENT = 20_000
ABSENT = "NOT_CONNECTED"  # the platform's own pass for a dealer that is not there


@dataclass(frozen=True, slots=True)
class Order:
    """A command on its way to the owner. `at`, and a create's number and rate, are filled in at the
    decision."""

    command: c.Command
    cause: str  # the id of what brought it about
    keyed: bool = False  # it came with an idempotency key: the answer is kept


@dataclass(frozen=True, slots=True)
class Answer:
    """What a caller gets: the RFQ as it then was, or a refusal (a denied RFQ has both). The RFQ is
    the message's bytes: made once, kept under the key and sent as they are.
    """

    body: bytes | None
    reject: Reject | None = None

    @property
    def details(self) -> rfq_pb2.RFQDetails | None:
        """The RFQ as a message, for those who look into it."""
        return None if self.body is None else rfq_pb2.RFQDetails.FromString(self.body)

    def pack(self) -> bytes:
        """The answer as it is kept under its key."""
        head = f"{self.reject.code}\x00{self.reject.detail}" if self.reject else "\x00"
        return len(head.encode()).to_bytes(4, "big") + head.encode() + (self.body or b"")

    @staticmethod
    def unpack(kept: bytes) -> Answer:
        """The answer that was kept."""
        end = 4 + int.from_bytes(kept[:4], "big")
        code, detail = kept[4:end].decode().split("\x00", 1)
        body = kept[end:] if len(kept) > end else None
        return Answer(body, Reject(code, detail) if code else None)


class RateWindow:
    """RFQs of each user in the last minute. Keyed by RFQ, so that deciding one twice counts it
    once."""

    def __init__(self) -> None:
        self._by_user: dict[tuple[str, str], OrderedDict[str, int]] = {}

    def count(self, tenant: str, subject: str, rfq_id: str, at: int) -> int:
        """How many there were in the minute before `at`, this one not included."""
        recent = self._by_user.get((tenant, subject))
        if not recent:
            return 0
        while recent and next(iter(recent.values())) <= at - MINUTE:
            recent.popitem(last=False)
        return len(recent) - (rfq_id in recent)

    def add(self, tenant: str, subject: str, rfq_id: str, at: int) -> None:
        """Remembers one."""
        self._by_user.setdefault((tenant, subject), OrderedDict())[rfq_id] = at

    def forget_before(self, at: int) -> None:
        """Drops users who have been quiet for a minute."""
        for key, recent in tuple(self._by_user.items()):
            if not recent or next(reversed(recent.values())) <= at - MINUTE:
                del self._by_user[key]


class RfqAggregate:
    """core.rfq on the hot path."""

    service = "rfq"
    topics: tuple[str, ...] = (LIFECYCLE, QUOTES)
    schema = SCHEMAS[Rfq]

    def __init__(self, partitions: int = 8) -> None:
        self._partitions = partitions
        self._rates = RateWindow()
        # Events just decided, by id: whoever looks at a commit need not read the bytes again.
        self._recent: OrderedDict[str, e.Event] = OrderedDict()

    def decide(self, state: Rfq | None, command: Order, context: Context) -> Decided[Rfq]:
        """Decides and writes down."""
        whole = self._filled_in(command.command, context)
        if _is_stale_pass(state, whole):
            return Decided(None, reply=Answer(None))
        decision = decide(state, whole)
        after, recorded = fold(state, decision.events)
        facts = tuple(self._fact(after, r, command, context) for r in recorded if after)
        if isinstance(whole, c.CreateRFQ):
            self._count(recorded)
        body = None
        if after is not None and _shows(command, decision.reject):
            body = rfq_to_bytes(after, context.at)
        answer = Answer(body, decision.reject)
        kept = answer.pack() if command.keyed and _is_kept(decision.reject) else None
        return Decided(after if facts else None, facts, answer, kept)

    def dump(self, state: Rfq) -> Snapshot:
        """The RFQ as its row."""
        number = int(state.terms.display_id.removeprefix("R-"))
        return Snapshot(
            version=state.revision,
            live=is_live(state),
            status=state.status.value,
            deadline=next_deadline(state),
            ordinal=(number - 1000) // self._partitions,
            body=encode_state(state),
            schema=self.schema,
        )

    def load(self, snapshot: Snapshot) -> Rfq:
        """The RFQ of a row."""
        return decode_state(Rfq, snapshot.body, snapshot.schema)

    def on_deadline(self, state: Rfq, deadline: int) -> Order:
        """Time's own commands: the end of a last look, or of the RFQ."""
        cause = event_id(state.terms.tenant_id, "RFQ", state.terms.rfq_id, state.version)
        if state.status is Status.ACCEPTED:
            return Order(c.ExpireLastLook(at=deadline), cause)
        return Order(c.ExpireRFQ(at=deadline), cause)

    def reply(self, stored: bytes) -> Answer:
        """The answer that was kept under a key."""
        return Answer.unpack(stored)

    def warm(self, part: int, records: Sequence[Record]) -> None:
        """Fills the rate windows from the last minute of the log."""
        for record in records:
            if record.type == e.RFQCreated.__name__:
                event = decode(record.body)[1]
                self._note(event)

    def take_event(self, event_id_: str) -> e.Event | None:
        """The event with this id, if it was decided here a moment ago; it is forgotten by
        asking."""
        return self._recent.pop(event_id_, None)

    def tidy(self, at: int) -> None:
        """Drops what the rate windows no longer need."""
        self._rates.forget_before(at)

    def _filled_in(self, command: c.Command, context: Context) -> c.Command:
        if isinstance(command, c.CreateRFQ):
            rate = self._rates.count(command.tenant_id, command.subject, command.rfq_id, context.at)
            number = display_number(context.ordinal, context.part, self._partitions)
            return changed(command, at=context.at, rate_count=rate, number=number)
        if isinstance(command, c.ReceiveQuote):  # by far the most
            return changed(command, at=context.at)
        return replace(command, at=context.at)

    def _count(self, recorded: Sequence[Recorded[e.Event]]) -> None:
        for r in recorded:
            if isinstance(r.event, e.RFQCreated):
                self._note(r.event)

    def _note(self, event: e.RFQCreated) -> None:
        # An RFQ refused for its rate does not use the rate up: whoever waits a minute may go on.
        if all(check.passed for check in event.checks if check.check == "RATE"):
            terms = event.terms
            self._rates.add(terms.tenant_id, terms.subject, terms.rfq_id, event.at)

    def _fact(self, after: Rfq, r: Recorded[e.Event], order: Order, context: Context) -> Fact:
        tenant = after.terms.tenant_id
        identity = event_id(tenant, r.entity_type, r.entity_id, r.sequence)
        body = encode(
            r.event,
            tenant=tenant,
            entity_id=r.entity_id,
            sequence=r.sequence,
            at=context.at,
            producer="rfq",
            correlation_id=after.terms.correlation_id,
            causation_id=order.cause,
            entity_type=r.entity_type,
            event_id_=identity,
        )
        self._recent[identity] = r.event
        while len(self._recent) > MAX_RECENT:
            self._recent.popitem(last=False)
        topic = LIFECYCLE if r.entity_type == "RFQ" else QUOTES
        return Fact(topic, r.entity_id, r.sequence, type(r.event).__name__, identity, body)


def _is_stale_pass(state: Rfq | None, command: c.Command) -> bool:
    """The platform passes for a dealer that is not there; a quote the dealer gave before stays
    good."""
    if state is None or not isinstance(command, c.DeclineQuote) or command.reason != ABSENT:
        return False
    dealer = state.dealer(command.lp_id)
    return dealer is not None and dealer.status is not DealerStatus.PENDING


def _shows(order: Order, reject: Reject | None) -> bool:
    return order.keyed and (reject is None or isinstance(order.command, c.CreateRFQ))


def _is_kept(reject: Reject | None) -> bool:
    return reject is None or catalogue()[reject.code].status in (409, 422)
