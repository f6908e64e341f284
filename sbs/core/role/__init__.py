"""The role machine (R1 to R8, B1, B2): ``transition(model, event, now) -> model, effects``."""

from sbs.core.role.model import Model, Settings, State, deadline
from sbs.core.role.table import EVENTS, IGNORED, TABLE, Rule, transition

__all__ = [
    "EVENTS",
    "IGNORED",
    "TABLE",
    "Model",
    "Rule",
    "Settings",
    "State",
    "deadline",
    "transition",
]
