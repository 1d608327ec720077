"""All read models of this service."""

from orion.services.rfq.blotter import RfqBlotter, RfqTables
from orion.services.rfq.statistics import DealerStatistics

PROJECTIONS = (RfqBlotter(), RfqTables(), DealerStatistics())
