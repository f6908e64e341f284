"""What the commands share: the option ``-c``, and the way to the running node."""

from __future__ import annotations

import os
import tomllib
from typing import TYPE_CHECKING, Final, TypeVar

import click

from sbs.cli.proposing import config_files
from sbs.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sbs.config import Config

DEFAULT_CONFIG: Final = "/etc/sbs/sbs.toml"

_Function = TypeVar("_Function", bound="Callable[..., object]")


def config_option(function: _Function) -> _Function:
    """Give a command the option ``-c FILE``, as its argument ``config_path``."""
    return click.option(
        "-c",
        "--config",
        "config_path",
        metavar="FILE",
        envvar="SBS_CONFIG",
        default=DEFAULT_CONFIG,
        show_default=True,
        show_envvar=True,
        shell_complete=config_files,
        help="The node's configuration.",
    )(function)


def load_config(path: str, *, to_run: bool = False) -> Config:
    """Read a configuration file.

    Args:
        path: of the file.
        to_run: a node shall run with it, as this account, or files that it names are written.

    Raises:
        ConfigError: it is wrong or cannot be read, or others could change what is to run.
    """
    from sbs.config import load  # noqa: PLC0415 - slow, and a running node is found without

    config = load(path)
    if to_run and config.refusal:
        raise ConfigError(config.refusal)
    return config


def find_state_dir(path: str) -> str:
    """Where the node of a configuration file keeps its state.

    Only this key is looked at: a node that runs shall be found although its file has been broken
    since, and quickly.

    Raises:
        ConfigError: the file cannot be read, or does not tell.
    """
    try:
        with open(path, "rb") as file:
            state_dir = tomllib.load(file)["node"]["state_dir"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        state_dir = None
    if not isinstance(state_dir, str) or not state_dir or "\0" in state_dir:
        return load_config(path).node.state_dir  # the default, or an error that says it all
    return os.path.join(os.path.dirname(os.path.abspath(path)), state_dir)
