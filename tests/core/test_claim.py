from __future__ import annotations

from typing import Any

import attrs
import pytest

from sbs.core.claim import MAX_NAME_CHARACTERS, MAX_PRIORITY, Claim, Mode, Role
from sbs.core.epoch import NO_EPOCH
from sbs.core.history import History

CLAIM = Claim(
    node_id="0" * 32,
    name="alpha",
    mode=Mode.SYMMETRIC,
    priority=100,
    slot=0,
    role=Role.PROBING,
    epoch=NO_EPOCH,
    history=History(),
)


def test_modes_are_ranked_by_how_much_they_mean_to_be_primary() -> None:
    """R3 to R5."""
    assert Mode.PRIMARY_ONLY.rank > Mode.SYMMETRIC.rank > Mode.BACKUP_ONLY.rank


@pytest.mark.parametrize("role", Role)
def test_only_the_role_primary_is_a_primacy(role: Role) -> None:
    assert attrs.evolve(CLAIM, role=role).primary == (role.value == "primary")


@pytest.mark.parametrize("name", ["a", "7", "é1", "a" * MAX_NAME_CHARACTERS, "db main.example"])
def test_name_for_people_is_taken(name: str) -> None:
    assert attrs.evolve(CLAIM, name=name).name == name


@pytest.mark.parametrize(
    "name", ["", "a" * (MAX_NAME_CHARACTERS + 1), "-x", "_x", " x", "a\nb", "a\x1b[31m", "a\u202eb"]
)
def test_name_that_would_deceive_or_break_a_line_is_refused(name: str) -> None:
    """Adversarial case 10: names reach logs, mails and terminals."""
    with pytest.raises(ValueError, match="1 to 64 printable characters are allowed"):
        attrs.evolve(CLAIM, name=name)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("node_id", "0" * 31),
        ("node_id", "0" * 33),
        ("node_id", "A" * 32),
        ("priority", -1),
        ("priority", MAX_PRIORITY + 1),
        ("slot", 2),
    ],
)
def test_value_out_of_range_is_refused(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"'{field}' must"):
        attrs.evolve(CLAIM, **{field: value})


@pytest.mark.parametrize(
    "field", ["mode", "role", "epoch", "history", "held", "on_silence", "services_die"]
)
def test_value_of_a_wrong_type_is_refused(field: str) -> None:
    changes: dict[str, Any] = {field: "yes"}
    with pytest.raises(TypeError, match=f"'{field}' must be"):
        attrs.evolve(CLAIM, **changes)


@pytest.mark.parametrize("priority", [0, MAX_PRIORITY])
def test_priority_is_taken_at_its_limits(priority: int) -> None:
    assert attrs.evolve(CLAIM, priority=priority).priority == priority
