"""The matrix, whole. What is not in this table is not allowed."""

from __future__ import annotations

import pytest

from orion.core.entitlement import NOTHING, Grants, may_see, visible
from orion.core.permissions import (
    MATRIX,
    Permission,
    Role,
    Scope,
    may,
    may_read,
    permissions_of,
    read_scope,
)
from tests.core.rfq_world import BOND, EURUSD

EVERYONE = "trader sales risk analyst admin platform"
WHO_MAY = {
    "market.read": "trader sales risk analyst admin",
    "reference.read": "trader sales risk analyst admin",
    "dealers.read": "trader sales risk admin",
    "rfq.create": "trader",
    "rfq.accept": "trader",
    "rfq.cancel": "trader",
    "rfq.read.own": "trader sales risk admin",
    "rfq.read.desk": "trader sales risk admin",
    "rfq.read.tenant": "sales risk admin",
    "trade.read.own": "trader sales risk analyst admin",
    "trade.read.desk": "trader sales risk analyst admin",
    "trade.read.tenant": "sales risk analyst admin",
    "audit.read.own": "trader sales risk admin",
    "audit.read.desk": "trader sales risk admin",
    "audit.read.tenant": "sales risk admin",
    "preferences.write": EVERYONE,
    "watchlist.write": "trader sales risk analyst admin",
    "notification.read": EVERYONE,
    "user.read": "admin",
    "user.manage": "admin",
    "operations.read": "platform",
    "operations.manage": "platform",
}


def test_the_matrix_is_exactly_this():
    assert set(WHO_MAY) == {p.value for p in Permission}
    for permission in Permission:
        allowed = {role.name.lower() for role in Role if permission in MATRIX[role]}
        assert allowed == set(WHO_MAY[permission.value].split()), permission


SCOPES = {
    "trader": ("desk", "desk", "desk"), "sales": ("tenant", "tenant", "tenant"),
    "risk": ("tenant", "tenant", "tenant"), "analyst": (None, "tenant", None),
    "admin": ("tenant", "tenant", "tenant"), "platform": (None, None, None),
}


@pytest.mark.parametrize("name", SCOPES)
def test_read_scopes(name):
    roles = [Role[name.upper()].value]
    seen = tuple(read_scope(roles, area) for area in ("rfq", "trade", "audit"))
    assert tuple(s.value if s else None for s in seen) == SCOPES[name]


def test_roles_add_up_and_unknown_ones_allow_nothing():
    assert read_scope(["ROLE_TRADER", "ROLE_RISK"], "rfq") is Scope.TENANT
    assert may(["ROLE_TRADER", "ROLE_ANALYST"], Permission.RFQ_CREATE)
    assert permissions_of(["ROLE_GOD", ""]) == frozenset()
    assert not may([], Permission.MARKET_READ)


def test_a_desk_without_a_name_is_nobodys_desk():
    def sees(owner, desk, owner_desk, role="ROLE_TRADER"):
        return may_read([role], "rfq", user="a", desk=desk, owner=owner, owner_desk=owner_desk)

    assert sees("a", "FX", "RATES")
    assert sees("b", "FX", "FX")
    assert not sees("b", "FX", "RATES")
    assert not sees("b", "", "")
    assert sees("b", "", "FX", "ROLE_RISK")
    assert not sees("a", "FX", "FX", "ROLE_PLATFORM")


def test_instruments_that_are_not_granted_are_hidden():
    fx = Grants(asset_classes=frozenset({"FX"}))
    one = Grants(asset_classes=frozenset({"FX"}), instrument_ids=frozenset({"USDJPY"}))
    assert visible(fx, (EURUSD, BOND)) == (EURUSD,)
    assert visible(one, (EURUSD, BOND)) == ()
    assert may_see(one, "USDJPY", "FX")
    assert visible(NOTHING, (EURUSD, BOND)) == ()
