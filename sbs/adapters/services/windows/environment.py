"""The environment that the service manager gives to a service: one ``NAME=value`` a string."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sbs.errors import ServiceError


def merge(present: Sequence[str], added: Mapping[str, str]) -> list[str]:
    """What to write: what stands there, with variables added or replaced.

    Args:
        present: the value ``Environment`` of the service's registry key, others' variables in it.
        added: SBS's own; Windows does not tell ``Path`` from ``PATH``.

    Raises:
        ServiceError: a name or value that cannot be written.
    """
    for name, value in added.items():
        if not name or "=" in name or "\0" in name + value:
            raise ServiceError(
                f"environment variable {name!r}: a name is not empty and has no '=', and neither "
                "it nor the value has NUL"
            )
    ours = {name.upper() for name in added}
    kept = [entry for entry in present if entry.partition("=")[0].upper() not in ours]
    return [*kept, *(f"{name}={value}" for name, value in added.items())]
