"""RFQ: the one import surface. Files in the order of thought:
words, commands, events, state (with MOVES), view, checks, answers, decide.
"""

from orion.core.rfq import commands, events, view, words
from orion.core.rfq.decide import decide
from orion.core.rfq.state import MOVES, Rfq, evolve, fold
from orion.core.rfq.words import TERMINAL, Status

__all__ = [
    "MOVES", "TERMINAL", "Rfq", "Status", "commands", "decide", "events", "evolve", "fold", "view",
    "words",
]
