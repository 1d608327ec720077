"""Who may do what: the one matrix of role × permission. The BFF and every service ask here; nothing
else decides.

Scopes nest: what the tenant scope shows includes the desk's, which includes one's own. Nothing is
allowed that is not written here.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum


class Role(str, Enum):
    """The six roles a user may hold."""

    TRADER = "ROLE_TRADER"
    SALES = "ROLE_SALES"
    RISK = "ROLE_RISK"
    ANALYST = "ROLE_ANALYST"
    ADMIN = "ROLE_ADMIN"
    PLATFORM = "ROLE_PLATFORM"


class Permission(str, Enum):
    """A thing that can be allowed. The value is what /me lists and the screen asks for."""

    MARKET_READ = "market.read"
    REFERENCE_READ = "reference.read"
    DEALERS_READ = "dealers.read"
    RFQ_CREATE = "rfq.create"
    RFQ_ACCEPT = "rfq.accept"            # one's own RFQs only, whatever the role
    RFQ_CANCEL = "rfq.cancel"            # one's own RFQs only, whatever the role
    RFQ_READ_OWN = "rfq.read.own"
    RFQ_READ_DESK = "rfq.read.desk"
    RFQ_READ_TENANT = "rfq.read.tenant"
    TRADE_READ_OWN = "trade.read.own"
    TRADE_READ_DESK = "trade.read.desk"
    TRADE_READ_TENANT = "trade.read.tenant"
    AUDIT_READ_OWN = "audit.read.own"
    AUDIT_READ_DESK = "audit.read.desk"
    AUDIT_READ_TENANT = "audit.read.tenant"
    PREFERENCES_WRITE = "preferences.write"
    WATCHLIST_WRITE = "watchlist.write"
    NOTIFICATION_READ = "notification.read"
    USER_READ = "user.read"
    USER_MANAGE = "user.manage"
    OPERATIONS_READ = "operations.read"      # metrics, lag, dead letters' envelope
    OPERATIONS_MANAGE = "operations.manage"  # replay dead letters, rebuild read models


class Scope(str, Enum):
    """How far a reading permission reaches inside the tenant."""

    OWN = "own"
    DESK = "desk"
    TENANT = "tenant"


P = Permission

_SCREEN = frozenset({P.PREFERENCES_WRITE, P.WATCHLIST_WRITE, P.NOTIFICATION_READ})
_MARKET = frozenset({P.MARKET_READ, P.REFERENCE_READ})
_RFQ_DESK = frozenset({P.RFQ_READ_OWN, P.RFQ_READ_DESK})
_RFQ_TENANT = _RFQ_DESK | {P.RFQ_READ_TENANT}
_TRADE_DESK = frozenset({P.TRADE_READ_OWN, P.TRADE_READ_DESK})
_TRADE_TENANT = _TRADE_DESK | {P.TRADE_READ_TENANT}
_AUDIT_DESK = frozenset({P.AUDIT_READ_OWN, P.AUDIT_READ_DESK})
_AUDIT_TENANT = _AUDIT_DESK | {P.AUDIT_READ_TENANT}

MATRIX: dict[Role, frozenset[Permission]] = {
    Role.TRADER: _SCREEN | _MARKET | _RFQ_DESK | _TRADE_DESK | _AUDIT_DESK
    | {P.DEALERS_READ, P.RFQ_CREATE, P.RFQ_ACCEPT, P.RFQ_CANCEL},
    Role.SALES: _SCREEN | _MARKET | _RFQ_TENANT | _TRADE_TENANT | _AUDIT_TENANT | {P.DEALERS_READ},
    Role.RISK: _SCREEN | _MARKET | _RFQ_TENANT | _TRADE_TENANT | _AUDIT_TENANT | {P.DEALERS_READ},
    Role.ANALYST: _SCREEN | _MARKET | _TRADE_TENANT,
    Role.ADMIN: _SCREEN | _MARKET | _RFQ_TENANT | _TRADE_TENANT | _AUDIT_TENANT
    | {P.DEALERS_READ, P.USER_READ, P.USER_MANAGE},
    # Operations only: no prices, no RFQs, no trades, no audit content.
    Role.PLATFORM: frozenset({
        P.PREFERENCES_WRITE, P.NOTIFICATION_READ, P.OPERATIONS_READ, P.OPERATIONS_MANAGE,
    }),
}

_SCOPED = {
    "rfq": (P.RFQ_READ_TENANT, P.RFQ_READ_DESK, P.RFQ_READ_OWN),
    "trade": (P.TRADE_READ_TENANT, P.TRADE_READ_DESK, P.TRADE_READ_OWN),
    "audit": (P.AUDIT_READ_TENANT, P.AUDIT_READ_DESK, P.AUDIT_READ_OWN),
}


def permissions_of(roles: Iterable[str]) -> frozenset[Permission]:
    """All that these roles allow together. An unknown role allows nothing."""
    known = {role.value for role in Role}
    return frozenset().union(*(MATRIX[Role(r)] for r in roles if r in known))


def may(roles: Iterable[str], permission: Permission) -> bool:
    """True when one of the roles allows it."""
    return permission in permissions_of(roles)


def read_scope(roles: Iterable[str], area: str) -> Scope | None:
    """How far these roles may read in an area ("rfq", "trade", "audit"); None: not at all."""
    allowed = permissions_of(roles)
    for permission, scope in zip(_SCOPED[area], (Scope.TENANT, Scope.DESK, Scope.OWN), strict=True):
        if permission in allowed:
            return scope
    return None


def may_read(
    roles: Iterable[str], area: str, *, user: str, desk: str, owner: str, owner_desk: str
) -> bool:
    """True when `user` of `desk` may read what belongs to `owner` of `owner_desk` in the same
    tenant.

    The tenants must have been compared before: this function knows nothing of other tenants.
    """
    match read_scope(roles, area):
        case Scope.TENANT:
            return True
        case Scope.DESK:
            return user == owner or (desk != "" and desk == owner_desk)
        case Scope.OWN:
            return user == owner
        case None:
            return False
