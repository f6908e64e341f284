"""The guard of deletes (B22)."""

from __future__ import annotations

from collections.abc import Collection

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbs.core.guard import (
    DEFAULT_LIMIT,
    MAX_DELETES,
    Basis,
    Cause,
    Held,
    Limit,
    Prospect,
    deleted_contents,
    has_content,
    judge,
)
from sbs.core.manifest import Entry, FolderSpec, Kind, Manifest
from sbs.core.plan import plan

HERE = Basis("1:2", ("- *.tmp",))
OFF = Limit()


def causes(held: Held | None) -> list[Cause]:
    return [] if held is None else [reason.cause for reason in held.reasons]


def prospect(
    deletes: Collection[str] = ("f",),
    standing: int = 100,
    *,
    name: str = "data",
    emptied: bool = False,
    basis: Basis = HERE,
    before: Basis | None = HERE,
) -> Prospect:
    return Prospect(
        name=name,
        deletes=tuple(deletes),
        standing=standing,
        emptied=emptied,
        basis=basis,
        before=before,
    )


@pytest.mark.parametrize(
    ("value", "limit"),
    [
        ("off", Limit()),
        ("0%", Limit(percent=0)),
        ("50%", Limit(percent=50)),
        ("100%", Limit(percent=100)),
        (0, Limit(count=0)),
        (20, Limit(count=20)),
        ("20", Limit(count=20)),
        (MAX_DELETES, Limit(count=MAX_DELETES)),
    ],
)
def test_a_limit_is_a_count_a_share_or_off(value: str | int, limit: Limit) -> None:
    assert Limit.parse(value) == limit
    assert str(limit) == str(value)
    assert limit.off is (value == "off")


@pytest.mark.parametrize(
    "value", ["", "no", "101%", "-1%", "5.5%", "%", "1e3", "-1", -1, MAX_DELETES + 1, "9" * 10]
)
def test_another_limit_is_refused(value: str | int) -> None:
    with pytest.raises(ValueError, match=r'"off", a share from "0%" to "100%", or a count'):
        Limit.parse(value)


@pytest.mark.parametrize(
    ("limit", "deletes", "standing", "exceeded"),
    [
        ("off", 10, 10, False),
        ("100%", 10, 10, False),
        ("50%", 5, 10, False),
        ("50%", 6, 10, True),
        ("50%", 1, 1, True),
        ("33%", 1, 3, True),
        ("34%", 1, 3, False),
        ("0%", 1, MAX_DELETES, True),
        (0, 1, 10, True),
        (20, 20, 20, False),
        ("20", 21, 10**6, True),
    ],
)
def test_more_than_the_limit_is_too_many(
    limit: str | int, deletes: int, standing: int, exceeded: bool
) -> None:
    assert Limit.parse(limit).exceeded(deletes, standing) is exceeded
    found = judge([prospect([f"f{n}" for n in range(deletes)], standing)], Limit.parse(limit))
    assert causes(found) == [Cause.TOO_MANY] * exceeded


OTHER_ROOT = attrs.evolve(HERE, root="1:3")
OTHER_FILTERS = attrs.evolve(HERE, filters=())


@pytest.mark.parametrize("limit", ["off", "50%", "100%", 5])
@pytest.mark.parametrize(
    ("before", "expected"),
    [
        (HERE, []),
        (None, []),
        (OTHER_ROOT, [Cause.OTHER_ROOT]),
        (OTHER_FILTERS, [Cause.OTHER_FILTERS]),
        (Basis("1:3", ()), [Cause.OTHER_ROOT, Cause.OTHER_FILTERS]),
    ],
)
def test_on_another_basis_a_single_delete_is_held_whatever_the_limit(
    before: Basis | None, expected: list[Cause], limit: str | int
) -> None:
    """Adversarial cases 12 and 21."""
    assert causes(judge([prospect(before=before)], Limit.parse(limit))) == expected


@pytest.mark.parametrize(("limit", "held"), [("off", False), ("100%", True), (5, True)])
def test_an_emptied_folder_is_held_unless_any_number_of_deletes_is_meant(
    limit: str | int, held: bool
) -> None:
    """Adversarial case 12."""
    found = judge([prospect(standing=1, emptied=True)], Limit.parse(limit))
    assert causes(found) == [Cause.EMPTIED] * held


@given(
    standing=st.integers(0, 100),
    emptied=st.booleans(),
    before=st.sampled_from([None, HERE, OTHER_ROOT, OTHER_FILTERS]),
    limit=st.sampled_from(["off", "0%", 0]),
)
def test_where_nothing_is_deleted_nothing_is_held(
    standing: int, emptied: bool, before: Basis | None, limit: str | int
) -> None:
    found = prospect((), standing, emptied=emptied, before=before)
    assert judge([found], Limit.parse(limit)) is None


def test_each_folder_is_looked_at_by_itself_and_one_holds_all() -> None:
    many, one = prospect([f"f{n}" for n in range(60)]), prospect(name="other", before=OTHER_ROOT)
    held = judge([many, one, prospect((), name="third")], Limit.parse(DEFAULT_LIMIT))
    assert held is not None
    assert [(each.folder, each.cause) for each in held.reasons] == [
        ("data", Cause.TOO_MANY),
        ("other", Cause.OTHER_ROOT),
    ]
    assert held.deletes == 61
    assert "60 of 100 files" in held.text
    assert "sync.max_deletes is 50%" in held.text
    assert f"sbs sync --accept {held.id}" in held.text


names = st.text(
    st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=3
)
deletes = st.dictionaries(names, st.sets(names, min_size=1, max_size=4), min_size=1, max_size=3)


def held_id(
    deletes: dict[str, set[str]], *, standing: int = 0, before: Basis | None = OTHER_ROOT
) -> str:
    held = judge(
        [
            prospect(list(paths), len(paths) + standing, name=name, before=before)
            for name, paths in deletes.items()
        ],
        OFF,
    )
    assert held is not None
    return held.id


@given(deletes, st.integers(0, 9))
def test_the_id_is_that_of_the_deletes_and_the_causes(
    deletes: dict[str, set[str]], added: int
) -> None:
    """B22: what was accepted is what is sent, whatever else changes meanwhile."""
    again = dict(reversed(deletes.items()))
    assert held_id(again, standing=added) == held_id(deletes)
    assert held_id(deletes, before=OTHER_FILTERS) != held_id(deletes)
    name = min(deletes)
    assert held_id({**deletes, name: {*deletes[name], "another"}}) != held_id(deletes)


@given(deletes, deletes)
def test_other_deletes_have_another_id(
    one: dict[str, set[str]], other: dict[str, set[str]]
) -> None:
    assert (held_id(one) == held_id(other)) is (one == other)


def test_a_name_that_is_no_text_has_an_id() -> None:
    assert held_id({"d": {"\udcff"}}) != held_id({"d": {"ÿ"}})


def manifest(*entries: Entry) -> Manifest:
    return {entry.path: entry for entry in entries}


def file(path: str) -> Entry:
    return Entry(path=path, kind=Kind.FILE, digest=b"d" * 32)


def directory(path: str) -> Entry:
    return Entry(path=path, kind=Kind.DIRECTORY, mode=0o755)


def link(path: str) -> Entry:
    return Entry(path=path, kind=Kind.SYMLINK, target="t")


def look(source: Manifest, target: Manifest, *, strict_delete: bool = True) -> list[str]:
    spec = FolderSpec(name="data", path="/srv", strict_delete=strict_delete)
    return sorted(deleted_contents(plan(source, target, spec, 0), target))


def test_files_and_links_count_and_directories_do_not() -> None:
    target = manifest(directory("d"), file("d/f"), link("d/l"), file("g"), directory("e"))
    assert look(manifest(file("g")), target) == ["d/f", "d/l"]
    assert look(manifest(directory("e")), manifest(directory("d"))) == []
    assert [has_content(entry) for entry in (file("f"), link("l"), directory("d"))] == [1, 1, 0]


def test_what_only_makes_room_for_another_kind_counts_too() -> None:
    """Also without strict_delete."""
    target = manifest(directory("d"), file("d/f"), file("other"), file("g"))
    source = manifest(file("d"), directory("g"))
    assert look(source, target, strict_delete=False) == ["d/f", "g"]


@pytest.mark.parametrize(
    ("before", "rebased"), [(HERE, False), (None, True), (OTHER_ROOT, True), (OTHER_FILTERS, True)]
)
def test_what_is_not_known_to_be_as_before_is_another_basis(
    before: Basis | None, rebased: bool
) -> None:
    assert prospect(before=before).rebased is rebased
