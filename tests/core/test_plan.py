"""What to make of a follower's folder."""

from __future__ import annotations

from collections.abc import Collection

import attrs
from hypothesis import given
from hypothesis import strategies as st

from sbs.core.filters import Filter, parent_of
from sbs.core.manifest import Action, Entry, FolderSpec, Kind, Manifest, Operation
from sbs.core.plan import Candidate, Plan, plan, restore, touch

A, B = b"a" * 32, b"b" * 32


def folder(*filters: str, strict: bool = False, preserve: bool = False) -> FolderSpec:
    return FolderSpec(
        name="f", path="/f", filters=filters, strict_delete=strict, preserve_mtime=preserve
    )


def file(path: str, digest: bytes | None = A, *, mode: int = 0o644, mtime_ns: int = 0) -> Entry:
    return Entry(
        path=path, kind=Kind.FILE, mode=mode, size_bytes=1, mtime_ns=mtime_ns, digest=digest
    )


def directory(path: str, mode: int = 0o755) -> Entry:
    return Entry(path=path, kind=Kind.DIRECTORY, mode=mode)


def link(path: str, target: str = "t") -> Entry:
    return Entry(path=path, kind=Kind.SYMLINK, target=target)


def tree(*entries: Entry) -> dict[str, Entry]:
    return {entry.path: entry for entry in entries}


def planned(
    source: Manifest,
    target: Manifest,
    spec: FolderSpec,
    number: int,
    *,
    unreadable: Collection[str] = (),
) -> Plan:
    """The plan of a whole folder."""
    steps = plan(source, target, spec, number, unreadable=unreadable)
    return Plan(steps=tuple(steps), restore=restore(steps, source.get, number))


def described(made: Plan) -> list[str]:
    return [
        f"{step.action.name} {step.path}"
        if isinstance(step, Operation)
        else f"? {step.entry.path}" + (" " + described_clears(step) if step.clears else "")
        for step in made.steps
    ]


def described_clears(step: Candidate) -> str:
    return "after " + ",".join(operation.path for operation in step.clears)


def test_everything_is_sent_to_an_empty_folder() -> None:
    """R22: every file on the primary is duplicated on the secondary."""
    source = tree(directory("d"), file("d/f", None), link("d/l"))
    made = planned(source, {}, folder(), 3)
    assert described(made) == ["MKDIR d", "? d/f", "LINK d/l"]
    assert made.size_bytes == 1
    assert all(step.folder == 3 for step in made.steps if isinstance(step, Operation))


def test_nothing_is_sent_where_nothing_differs() -> None:
    source = tree(directory("d"), file("d/f"), link("d/l"))
    assert planned(source, source, folder(strict=True, preserve=True), 0) == Plan()


def test_without_strict_delete_nothing_is_deleted() -> None:
    """R22: the default."""
    assert planned({}, tree(directory("d"), file("d/f")), folder(), 0) == Plan()


def test_strict_delete_removes_what_the_source_lacks_deepest_first() -> None:
    """R22: ``strict_delete``."""
    target = tree(directory("d"), file("d/f"), link("d.l"), directory("d/e"), file("d/e/g"))
    made = planned({}, target, folder(strict=True), 0)
    assert described(made) == [
        "DELETE d/f",
        "DELETE d/e/g",
        "DELETE d/e",
        "DELETE d.l",
        "DELETE d",
    ]


def test_excluded_entries_count_on_neither_side() -> None:
    """R21: what a filter excludes is protected on the secondary."""
    source, target = tree(file("a.tmp")), tree(file("b.tmp"), directory("x"), file("x/y"))
    assert planned(source, target, folder("- *.tmp", "- x/", strict=True), 0) == Plan()


def test_what_could_not_be_read_is_not_deleted() -> None:
    target = tree(directory("d"), file("d/f"), file("e"), file("g"))
    made = planned(tree(directory("d")), target, folder(strict=True), 0, unreadable={"d", "g"})
    assert described(made) == ["DELETE e"]


def test_mode_and_time_are_touched_where_the_content_is_equal() -> None:
    """R23: the time counts only with ``preserve_mtime``."""
    ours, theirs = file("f", mtime_ns=5), file("f", mtime_ns=6)
    assert planned(tree(ours), tree(theirs), folder(), 0) == Plan()
    made = planned(tree(ours), tree(theirs), folder(preserve=True), 0)
    assert made.steps == (
        Operation(folder=0, action=Action.TOUCH, path="f", mode=0o644, mtime_ns=5),
    )
    chmod = planned(tree(attrs.evolve(ours, mode=0o600)), tree(theirs), folder(), 0)
    assert chmod.steps == (Operation(folder=0, action=Action.TOUCH, path="f", mode=0o600),)


def test_attributes_alone_send_no_content() -> None:
    """Their values are read when the operation is sent."""
    entries = (directory("d"), file("d/f"), link("d/l"))
    theirs = tree(*(attrs.evolve(entry, attributes=b"a" * 16) for entry in entries))
    ours = tree(*(attrs.evolve(entry, attributes=b"b" * 16) for entry in entries))
    assert planned(theirs, theirs, folder(), 0) == Plan()
    assert described(planned(ours, theirs, folder(), 0)) == ["MKDIR d", "TOUCH d/f", "LINK d/l"]
    assert planned(ours, theirs, folder(), 0).size_bytes == 0


def test_a_known_different_digest_is_sent_without_comparison() -> None:
    made = planned(tree(file("f", A)), tree(file("f", B)), folder(), 0)
    assert made.steps == (Candidate(entry=file("f", A), base=file("f", B)),)


def test_an_unknown_digest_of_equal_size_is_compared_while_reading() -> None:
    made = planned(tree(file("f", None)), tree(file("f", B)), folder(), 0)
    assert made.steps == (Candidate(entry=file("f", None), base=file("f", B)),)
    (candidate,) = made.steps
    assert isinstance(candidate, Candidate)
    assert candidate.may_be_equal
    longer = attrs.evolve(file("f", B), size_bytes=2)
    for other in (None, longer):
        assert not Candidate(entry=file("f", None), base=other).may_be_equal
    assert not Candidate(entry=file("f", A), base=file("f", B)).may_be_equal


def test_a_follower_that_does_not_know_its_digest_is_sent_the_content() -> None:
    made = planned(tree(file("f", A)), tree(file("f", None)), folder(), 0)
    assert made.steps == (Candidate(entry=file("f", A)),)


def test_a_directory_gives_way_to_a_file_only_when_the_file_can_be_read() -> None:
    """R22: the primary wins, also without ``strict_delete``; nothing is lost for a file that
    cannot be sent."""
    target = tree(directory("x"), directory("x/d"), file("x/d/f"), link("x/l"))
    made = planned(tree(file("x")), target, folder(), 0)
    assert described(made) == ["? x after x/l,x/d/f,x/d,x"]


def test_kinds_are_swapped_both_ways() -> None:
    source = tree(directory("a"), directory("b"), link("c"), link("d"), file("e"))
    target = tree(file("a"), link("b"), directory("c"), file("c/x"), file("d"), link("e"))
    assert described(planned(source, target, folder(), 0)) == [
        "DELETE a",
        "MKDIR a",
        "DELETE b",
        "MKDIR b",
        "DELETE c/x",
        "DELETE c",
        "LINK c",
        "LINK d",
        "? e",
    ]


def test_changed_links_and_modes_of_directories_are_set() -> None:
    source = tree(directory("d", 0o700), link("l", "new"))
    made = planned(source, tree(directory("d"), link("l", "old")), folder(), 0)
    assert described(made) == ["MKDIR d", "LINK l"]


def test_closed_directories_get_their_mode_again_after_a_change_in_them() -> None:
    source = tree(directory("d", 0o555), file("d/f"), directory("e", 0o555), directory("o"))
    target = tree(directory("d", 0o555), directory("e", 0o555), file("e/x"), directory("o"))
    made = planned(source, target, folder(strict=True), 0)
    assert [operation.path for operation in made.restore] == ["d", "e"]
    assert all(operation.mode == 0o555 for operation in made.restore)
    assert planned(source, {}, folder(), 0).restore == ()


def test_a_closed_directory_that_is_made_needs_no_second_mode() -> None:
    source = tree(directory("d", 0o555), file("d/f"))
    assert planned(source, {}, folder(), 0).restore == ()
    assert (
        planned({}, tree(directory("d", 0o555), file("d/f")), folder(strict=True), 0).restore == ()
    )
    assert planned(tree(file("f")), tree(link("f")), folder(), 0).restore == ()


def test_touch_has_nothing_to_do_where_mode_and_time_are_right() -> None:
    assert touch(file("f", mtime_ns=5), file("f", mtime_ns=5), folder(preserve=True), 0) is None


# Models: an apply step and a reader, far simpler than the real ones.


def act(target: dict[str, Entry], operation: Operation) -> None:
    path = operation.path
    below = [other for other in target if other.startswith(path + "/")]
    parent = parent_of(path)
    match operation.action:
        case Action.DELETE:
            assert not below, "a directory is removed after what is below it"
            del target[path]
            return
        case Action.MKDIR:
            assert path not in target or target[path].kind is Kind.DIRECTORY
            target[path] = directory(path, operation.mode)
        case Action.LINK:
            assert not below
            target[path] = link(path, operation.target)
        case Action.TOUCH:
            old = target[path]
            assert old.kind is Kind.FILE
            stamp = old.mtime_ns if operation.mtime_ns is None else operation.mtime_ns
            target[path] = attrs.evolve(old, mode=operation.mode, mtime_ns=stamp)
        case Action.PUT:
            raise AssertionError("a plan has candidates instead")
    assert not parent or target[parent].kind is Kind.DIRECTORY


def read(
    target: dict[str, Entry], step: Candidate, truth: dict[str, bytes], spec: FolderSpec
) -> None:
    path, digest = step.entry.path, truth[step.entry.path]
    if step.base is not None and step.base.digest == digest:
        change = touch(step.entry, step.base, spec, 0)
        if change is not None:
            act(target, change)
        return
    for operation in step.clears:
        act(target, operation)
    assert not [other for other in target if other.startswith(path + "/")]
    assert path not in target or target[path].kind is not Kind.DIRECTORY
    stamp = step.entry.mtime_ns if spec.preserve_mtime else 77
    target[path] = attrs.evolve(step.entry, digest=digest, mtime_ns=stamp)


def carried_out(
    made: Plan, target: Manifest, truth: dict[str, bytes], spec: FolderSpec
) -> dict[str, Entry]:
    after = dict(target)
    for step in made.steps:
        if isinstance(step, Operation):
            act(after, step)
        else:
            read(after, step, truth, spec)
    for operation in made.restore:
        act(after, operation)
    return after


@st.composite
def trees(draw: st.DrawFn, known: bool) -> dict[str, Entry]:
    entries: dict[str, Entry] = {}

    def grow(prefix: str, depth: int) -> None:
        for name in draw(st.lists(st.sampled_from("abc"), unique=True, max_size=3)):
            path = prefix + name
            kind = draw(st.sampled_from(Kind)) if depth < 3 else Kind.FILE
            if kind is Kind.DIRECTORY:
                entries[path] = directory(path, draw(st.sampled_from([0o755, 0o555])))
                grow(path + "/", depth + 1)
            elif kind is Kind.SYMLINK:
                entries[path] = link(path, draw(st.sampled_from("xy")))
            else:
                digests = [A, B] if known else [A, B, None]
                entries[path] = attrs.evolve(
                    file(path, draw(st.sampled_from(digests))),
                    mode=draw(st.sampled_from([0o644, 0o600])),
                    mtime_ns=draw(st.integers(0, 2)),
                )

    grow("", 0)
    return entries


specs = st.builds(
    folder,
    st.sampled_from(["+ **", "- a", "- b/", "- /c/*"]),
    strict=st.booleans(),
    preserve=st.booleans(),
)


def comparable(entries: Manifest, spec: FolderSpec) -> dict[str, Entry]:
    return {
        path: attrs.evolve(entry, mtime_ns=entry.mtime_ns if spec.preserve_mtime else 0)
        for path, entry in entries.items()
    }


@given(source=trees(known=False), target=trees(known=True), spec=specs, data=st.data())
def test_the_plan_makes_the_target_the_source(
    source: dict[str, Entry], target: dict[str, Entry], spec: FolderSpec, data: st.DataObject
) -> None:
    """R22: the source with ``strict_delete``; else the source over the target."""
    truth = {
        path: entry.digest or data.draw(st.sampled_from([A, B]))
        for path, entry in source.items()
        if entry.kind is Kind.FILE
    }
    rules = Filter.parse(spec.filters)
    wanted, had = rules.select(source), rules.select(target)
    made = planned(source, target, spec, 0)
    after = carried_out(made, had, truth, spec)
    want = {path: attrs.evolve(entry, digest=truth.get(path)) for path, entry in wanted.items()}
    if not spec.strict_delete:
        for path, entry in had.items():
            above = path
            while above and (above not in wanted or wanted[above].kind is Kind.DIRECTORY):
                above = parent_of(above)
            if not above and path not in wanted:
                want[path] = entry
    assert comparable(after, spec) == comparable(want, spec)
    known = {path: after[path] if path in truth else entry for path, entry in wanted.items()}
    assert planned(known, after, spec, 0) == Plan(), "taken again it has nothing to do"
