"""Traders' commands: who may, what was meant, which facts the decision needs."""

from __future__ import annotations

import hashlib
import re
from datetime import date
from decimal import Decimal
from typing import Any

from orion.core import ids
from orion.core.entitlement import NOTHING, Grants
from orion.core.permissions import Permission, may, may_read
from orion.core.rfq import commands as c
from orion.core.rfq.state import Rfq
from orion.core.rfq.words import MAX_EXPIRY_SECONDS, MIN_EXPIRY_SECONDS
from orion.core.values import parse_decimal
from orion.platform.caller import Caller
from orion.platform.errors import Coded, Unavailable
from orion.platform.transact import Key
from orion.services.rfq.aggregate import Answer, Order
from orion.services.rfq.world import World
from orion.wire.proto import side_from_proto
from orion.wire.stubs import common_pb2, rfq_pb2

KEY = re.compile(r"[A-Za-z0-9_-]{8,128}")
MAX_TEXT = 500  # as the public shape allows
MAX_LPS = 50


def require(caller: Caller, permission: Permission) -> None:
    """Raises AUTH-103 unless a user's role allows it. Services have no permissions of users."""
    if caller.service is not None or not may(caller.roles, permission):
        raise Coded("AUTH-103")


def is_visible(caller: Caller, state: Rfq) -> bool:
    """Whether a user may read this RFQ of his own tenant."""
    terms = state.terms
    return may_read(
        caller.roles,
        "rfq",
        user=caller.user,
        desk=caller.desk,
        owner=terms.requester,
        owner_desk=terms.desk,
    )


def key_of(caller: Caller, asked: common_pb2.Idempotency, request: Any, operation: str) -> Key:
    """The idempotency key of a request; its hash covers all that was asked. Raises API-101."""
    if not KEY.fullmatch(asked.key):
        raise Coded("API-101")
    content = type(request)()
    content.CopyFrom(request)
    content.ClearField("idempotency")
    digest = hashlib.blake2b(content.SerializeToString(deterministic=True), digest_size=16)
    return Key(caller.subject, operation, asked.key, digest.digest())


class Form:
    """Reads a request's fields and remembers what is wrong with them."""

    def __init__(self) -> None:
        self.errors: list[dict[str, str]] = []

    def wrong(self, field: str, message: str) -> None:
        """Notes a field that cannot be used."""
        self.errors.append({"field": field, "code": "API-100", "message": message})

    def decimal(self, field: str, text: str) -> Decimal:
        """A plain decimal; zero when it is none."""
        try:
            return parse_decimal(text)
        except ValueError:
            self.wrong(field, "not a plain decimal")
            return Decimal(0)

    def day(self, field: str, text: str) -> date | None:
        """An ISO 8601 date."""
        try:
            return date.fromisoformat(text) if len(text) == 10 else self.wrong(field, "not a date")
        except ValueError:
            return self.wrong(field, "not a date")

    def check(self) -> None:
        """Raises API-100 when anything was wrong."""
        if self.errors:
            named = ", ".join(e["field"] for e in self.errors)
            raise Coded("API-100", f"not valid: {named}", extra={"errors": self.errors})


def created_id(caller: Caller, request: rfq_pb2.CreateRFQRequest) -> str:
    """The id that the RFQ asked for will have."""
    key = key_of(caller, request.idempotency, request, "create")
    return ids.rfq_id(caller.tenant, caller.user, caller.subject, key.key)


def create(
    caller: Caller, request: rfq_pb2.CreateRFQRequest, world: World
) -> tuple[str, Order, Key]:
    """The id, the command with every fact, and its key."""
    key = key_of(caller, request.idempotency, request, "create")
    rfq_id = ids.rfq_id(caller.tenant, caller.user, caller.subject, key.key)
    form = Form()
    size = form.decimal("size", request.size)
    smallest = form.decimal("minSize", request.min_size) if request.HasField("min_size") else None
    day = None
    if request.HasField("settlement_date"):
        day = form.day("settlementDate", request.settlement_date)
    if request.side not in (common_pb2.BUY, common_pb2.SELL):
        form.wrong("side", "BUY or SELL")
    if not MIN_EXPIRY_SECONDS <= request.expiry_seconds <= MAX_EXPIRY_SECONDS:
        form.wrong("expirySeconds", f"{MIN_EXPIRY_SECONDS} to {MAX_EXPIRY_SECONDS}")
    if len(request.lp_ids) > MAX_LPS:
        form.wrong("lpIds", f"at most {MAX_LPS}")
    form.check()
    if unknown := world.unknown(request.instrument_id):
        raise Unavailable(unknown)
    instrument = world.instruments.get(request.instrument_id)
    if instrument is None:
        raise Coded("RFQ-200")
    venue_id = request.venue_id if request.HasField("venue_id") else None
    prices = world.prices
    command = c.CreateRFQ(
        at=0,
        rfq_id=rfq_id,
        correlation_id=ids.correlation_id(rfq_id),
        number=0,
        tenant_id=caller.tenant,
        subject=caller.subject,
        requester=caller.user,
        desk=caller.desk,
        grants=grants_of(caller),
        instrument=instrument,
        side=side_from_proto(request.side),
        size=size,
        expiry_seconds=request.expiry_seconds,
        candidates=world.candidates(instrument.instrument_id, caller.tenant),
        rate_count=0,
        usd_rate=prices.usd_rate(instrument.quote_currency),
        mid=prices.mid(instrument.instrument_id),
        is_stale=prices.is_stale(instrument.instrument_id),
        min_size=smallest,
        partial_allowed=request.partial_allowed,
        lp_ids=tuple(request.lp_ids),
        venue_id=venue_id,
        venue=world.venues.get(venue_id or next(iter(instrument.venue_ids), "")),
        settlement_date=day,
    )
    return rfq_id, Order(command, key.key, keyed=True), key


def accept(
    caller: Caller, request: rfq_pb2.AcceptQuoteRequest, world: World, instrument_id: str
) -> tuple[Order, Key]:
    """The accept as a command, and its key."""
    key = key_of(caller, request.idempotency, request, f"accept {request.rfq_id}")
    command = c.AcceptQuote(
        at=0,
        command_id=key.key,
        subject=caller.subject,
        quote_id=ids.QuoteId(request.quote_id),
        version=request.version,
        trade_id=ids.trade_id(request.rfq_id, request.quote_id),
        reason=request.reason[:MAX_TEXT] if request.HasField("reason") else None,
        mid=world.prices.mid(instrument_id),
    )
    return Order(command, key.key, keyed=True), key


def cancel(caller: Caller, request: rfq_pb2.CancelRFQRequest) -> tuple[Order, Key]:
    """The cancel as a command, and its key."""
    key = key_of(caller, request.idempotency, request, f"cancel {request.rfq_id}")
    version = request.version if request.HasField("version") else None
    command = c.CancelRFQ(at=0, subject=caller.subject, version=version)
    return Order(command, key.key, keyed=True), key


def grants_of(caller: Caller) -> Grants:
    """The caller's entitlements as core knows them; without any, nothing is allowed."""
    g = caller.grants
    if g is None:
        return NOTHING
    return Grants(g.asset_classes, g.instrument_ids, g.venue_ids, g.max_notional, g.rfq_per_minute)


def given(answer: Answer) -> bytes:
    """The RFQ of an answer, ready to be sent. Raises its refusal; a denied RFQ goes along with the
    problem."""
    if answer.reject is None:
        assert answer.body is not None
        return answer.body
    extra: dict[str, object] = {}
    if (denied := answer.details) is not None:
        extra = {
            "rfqId": denied.rfq_id,
            "displayId": denied.display_id,
            "status": denied.status,
            "version": denied.version,
            "correlationId": denied.correlation_id,
            "checks": [_check(check) for check in denied.checks],
        }
    raise Coded(answer.reject.code, answer.reject.detail, extra=extra)


def _check(check: common_pb2.Check) -> dict[str, str | None]:
    return {
        "check": check.check,
        "outcome": "PASSED" if check.passed else "FAILED",
        "actual": check.actual,
        "limit": check.limit,
        "code": check.code if check.HasField("code") else None,
    }
