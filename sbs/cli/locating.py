"""In which folder of a node a path lies, as people name it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from gettext import gettext as _

from sbs.errors import SbsError


def chosen(folders: Mapping[str, str], folder_name: str | None) -> Mapping[str, str]:
    """The folders that are meant: one, or all.

    Args:
        folders: where each lies, by name.
        folder_name: as ``--folder`` says.

    Raises:
        SbsError: there is none of that name.
    """
    if folder_name is None:
        return folders
    if folder_name not in folders:
        names = ", ".join(folders) or _("none")
        text = _("--folder {name}: allowed are the folders of this node: {names}")
        raise SbsError(text.format(name=folder_name, names=names))
    return {folder_name: folders[folder_name]}


def locate(folders: Mapping[str, str], path: str, folder_name: str | None) -> tuple[str, str]:
    """Folder and path within it.

    Args:
        folders: where each lies, by name.
        path: of this machine, or within the folder that is named.
        folder_name: as ``--folder`` says.

    Raises:
        SbsError: it lies in none, or cannot be a file in it.
    """
    from sbs.core.manifest import check_path  # noqa: PLC0415 - slow

    folders = chosen(folders, folder_name)
    for name, root in folders.items():
        if folder_name is not None and not os.path.isabs(path):
            inner = os.path.normpath(path)
        else:
            inner = os.path.relpath(real(path), os.path.realpath(root))
        if inner == os.pardir or inner.startswith(f"{os.pardir}{os.sep}"):
            continue
        try:
            return name, check_path("" if inner == os.curdir else inner)
        except ValueError as error:
            text = _("{path}: {problem}; allowed are files in folder {name}")
            raise SbsError(text.format(path=path, problem=error, name=name)) from error
    listed = ", ".join(f"{name} ({root})" for name, root in folders.items()) or _("none")
    text = _("{path}: in none of the folders of this node, which are: {folders}")
    raise SbsError(text.format(path=path, folders=listed))


def real(path: str) -> str:
    """Without symbolic links on the way; the last component may be one, and is meant itself."""
    directory, name = os.path.split(os.path.abspath(path))
    return os.path.join(os.path.realpath(directory), name)
