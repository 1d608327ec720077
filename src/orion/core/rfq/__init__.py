"""RFQ: the one import surface. Files: words, commands, events, state (with MOVES), quotes (ranking), decide."""

from orion.core.rfq import commands, events, words
from orion.core.rfq.state import MOVES, Rfq, evolve, fold

__all__ = ["MOVES", "Rfq", "commands", "events", "evolve", "fold", "words"]
