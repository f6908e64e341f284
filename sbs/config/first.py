"""A first configuration, as text: what ``sbs init`` writes."""

from __future__ import annotations

import os
from typing import Any

from sbs.config.settings import FolderSettings, NodeSettings
from sbs.config.text import quoted
from sbs.core.address import Address

IDENTITY_FILE = "identity.pem"
"""``tls.identity`` of a first configuration, in its directory."""

PEER_FILE = "peer.pem"
"""``tls.peer_certificate`` of a first configuration, in its directory."""


def check_answer(key: str, text: str) -> None:
    """Make sure that a key of ``[node]`` may have this value.

    Args:
        key: its name.
        text: a string of TOML.

    Raises:
        ValueError: it may not; the text says what is allowed.
    """
    keys: dict[str, Any] = {"peer": "localhost"}  # the one that has no default
    keys[key] = text
    NodeSettings(**keys)


def check_folder(path: str) -> None:
    """Make sure that a folder may have this path.

    Raises:
        ValueError: it may not; the text says what is allowed.
    """
    FolderSettings(name="-", path=path)


def _folder_name(path: str) -> str:
    """What both nodes may call a folder: the last part of its path, or ``data``."""
    name = os.path.basename(os.path.normpath(path))
    try:
        FolderSettings(name=name, path=path)
    except ValueError:
        return "data"
    return name


def first_text(
    *, name: str, listen: Address, peer: Address, state_dir: str, folder: str = ""
) -> str:
    """The text of a configuration that has what a node needs, and says where the rest goes.

    Args:
        name: ``node.name``.
        listen: ``node.listen``.
        peer: ``node.peer``.
        state_dir: ``node.state_dir``.
        folder: path of the first one; empty: none.
    """
    if folder:
        folders = f"[[folders]]\nname = {quoted(_folder_name(folder))}\npath = {quoted(folder)}\n"
    else:
        folders = '# [[folders]]\n# name = "settings"\n# path = "/srv/app/settings"\n'
    return f"""\
# A node of SBS, begun by sbs init. Every key: docs/configuration.md

[node]
name = {quoted(name)}
listen = {quoted(str(listen))}
peer = {quoted(str(peer))}
state_dir = {quoted(state_dir)}

# Who this node is, and who the other one is: sbs pair writes the second file.
[tls]
identity = {quoted(IDENTITY_FILE)}
peer_certificate = {quoted(PEER_FILE)}

# What is replicated. The two nodes share the names; each has its own paths.
{folders}
# What runs on the primary, and is started by a takeover.
# [[services.unit]]
# name = "printer-1"
# command = ["/usr/bin/python3", "-m", "http.server", "8101"]
"""
