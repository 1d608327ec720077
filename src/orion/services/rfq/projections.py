"""All read models of this service."""

from orion.platform.project import Projection
from orion.services.rfq.blotter import RfqBlotter, RfqTables
from orion.services.rfq.statistics import DealerStatistics

PROJECTIONS: tuple[Projection, ...] = (RfqBlotter(), RfqTables(), DealerStatistics())
