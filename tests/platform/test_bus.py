"""The shared test case over the adapters that are here (each test once per adapter: see the `place`
fixture).
"""

from __future__ import annotations

from tests.platform.bus_case import BusCase


class TestBus(BusCase):
    """Memory and PostgreSQL."""
