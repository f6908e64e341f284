"""What a generation may delete: no more than the settings of its folders say (R22).

A leader plans so by itself (:mod:`sbs.core.plan`); its follower does not rely on that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from sbs.core.filters import Filter, directories_above
from sbs.core.manifest import Action, FolderSpec, Operation


def check_deletes(
    operations: Iterable[Operation],
    folders: Sequence[FolderSpec],
    check: Callable[[], object],
) -> None:
    """Look at all deletes of a generation.

    Args:
        operations: all of them; each of one of ``folders``.
        folders: of the session.
        check: called for each delete, and each directory above; may raise to cancel.

    Raises:
        ValueError: a filter protects what is deleted, or nothing takes its place in a folder
            without ``strict_delete``; the text says which.
    """
    deletes: list[Operation] = []
    made: dict[tuple[int, str], Action] = {}
    for operation in operations:
        if operation.action is Action.DELETE:
            deletes.append(operation)
        elif operation.action is not Action.TOUCH:
            made[operation.folder, operation.path] = operation.action
    rules = [Filter.parse(spec.filters) for spec in folders] if deletes else []
    for delete in deletes:
        check()
        spec, path = folders[delete.folder], delete.path
        # Whether it is a directory is not said, and is not known before it is deleted.
        if not any(rules[delete.folder].includes(path, kind, check) for kind in (False, True)):
            raise ValueError(f"folder {spec.name!r}: {path!r} is excluded, and would be deleted")
        if not spec.strict_delete and not _gives_way(delete, made):
            raise ValueError(
                f"folder {spec.name!r}: {path!r} would be deleted although strict_delete is off"
            )


def _gives_way(delete: Operation, made: dict[tuple[int, str], Action]) -> bool:
    """Whether something takes the place of what is deleted, or of a directory above it."""
    return (delete.folder, delete.path) in made or any(
        made.get((delete.folder, above)) in (Action.PUT, Action.LINK)
        for above in directories_above([delete.path])
    )
