"""An explicit-state explorer for the role machine: two nodes and a witness, every order of events.

``search`` goes from state to state; a state is a frozen ``scene``, of which ``moves`` says what can
happen next and ``acts`` what then happens. ``promises`` says what must hold.
"""

from sbs.testing.explorer.moves import Move
from sbs.testing.explorer.peace import quiet
from sbs.testing.explorer.search import Bounds, Broken, Report, explore
from sbs.testing.explorer.setup import Setup
from sbs.testing.explorer.steps import INVARIANTS, PromiseError
from sbs.testing.explorer.trace import Retraced, retrace

__all__ = [
    "INVARIANTS",
    "Bounds",
    "Broken",
    "Move",
    "PromiseError",
    "Report",
    "Retraced",
    "Setup",
    "explore",
    "quiet",
    "retrace",
]
