"""The configuration as it is being edited, and what of it is not saved, or cannot be."""

from __future__ import annotations

import os
from gettext import gettext as _

import attrs

from sbs.config.editing import value_at, with_table, with_value, without
from sbs.config.problems import KeyPath
from sbs.config.settings import NodeSettings
from sbs.config.text import dotted
from sbs.config.toml import is_array
from sbs.dialog.file import ConfigFile
from sbs.dialog.typed import Setting
from sbs.errors import ConfigError


@attrs.frozen
class Wrong:
    """What was typed and is not allowed, so that it is no part of the text.

    Args:
        typed: by the person.
        why: what is allowed.
    """

    typed: str
    why: str


class Draft:
    """One file, and the text that it shall have.

    Args:
        path: of the file.

    Raises:
        ConfigError: it cannot be read, or is no TOML.
    """

    def __init__(self, path: str) -> None:
        self.file: ConfigFile = ConfigFile.read(path)
        self.text: str = self.file.text
        self._base = self.text
        self._changes: dict[KeyPath, object] = {}
        self.wrong: dict[KeyPath, Wrong] = {}
        value_at(self.text, ())

    @property
    def is_changed(self) -> bool:
        """Whether something is not saved yet."""
        return self.text != self.file.text or bool(self.wrong)

    @property
    def state_dir(self) -> str:
        """Where the node of the file, as it was saved, keeps its state."""
        found = value_at(self.file.text, ("node", "state_dir"))
        name = found if isinstance(found, str) and found else _STATE_DIR
        return os.path.join(os.path.dirname(os.path.abspath(self.file.path)), name)

    def value(self, path: KeyPath) -> object:
        """What stands at a place now; ``None`` if nothing does."""
        return value_at(self.text, path)

    def count(self, path: KeyPath) -> int:
        """How many tables an array of tables has."""
        found = self.value(path)
        return len(found) if is_array(found) else 0

    def typed(self, setting: Setting) -> str:
        """What a field for a setting shows."""
        wrong = self.wrong.get(setting.path)
        return setting.text(self.value(setting.path)) if wrong is None else wrong.typed

    def why(self, setting: Setting) -> str:
        """What is wrong with what was typed; empty if nothing is."""
        wrong = self.wrong.get(setting.path)
        return "" if wrong is None else wrong.why

    def type(self, setting: Setting, text: str) -> None:
        """Take what a person typed for a setting: all of it, after each key.

        Args:
            setting: that it is for.
            text: empty for none, so that the default counts.
        """
        self.wrong.pop(setting.path, None)
        try:
            if text.strip():
                self.put(setting.path, setting.raw(text))
            elif setting.default:
                self.put(setting.path, None)
            else:
                raise ValueError(
                    _("required is {expected}").format(expected=setting.key.kind.expected)
                )
        except (ValueError, ConfigError) as error:
            self.wrong[setting.path] = Wrong(text, str(error))

    def check(self, setting: Setting) -> None:
        """Look at what stands in the file for a setting, as ``sbs config check`` does."""
        raw = self.value(setting.path)
        try:
            setting.key.kind.read(raw)
        except ValueError as error:
            self.wrong[setting.path] = Wrong(setting.text(raw), str(error))

    def put(self, path: KeyPath, value: object) -> None:
        """Set a value that is allowed; ``None`` takes the key out.

        Raises:
            ConfigError: the file is written in a way that does not allow it.
        """
        # Made anew from what was: a field that is empty while it is typed in would lose its place.
        changes = {**self._changes, path: value}
        text = self._base
        for changed, wanted in changes.items():
            if wanted is not None:
                text = with_value(text, changed, wanted)
            elif value_at(text, changed) is not None:
                text = without(text, changed)
        self.text, self._changes = text, changes

    def add(self, path: KeyPath, **keys: object) -> int:
        """One more table of an array; its number, from 0.

        Raises:
            ConfigError: as :meth:`put`.
        """
        self._settle(with_table(self.text, path, keys))
        return self.count(path) - 1

    def remove(self, path: KeyPath) -> None:
        """Take a table out of its array.

        Raises:
            ConfigError: as :meth:`put`.
        """
        self._settle(without(self.text, path))
        array = path[:-1]
        self.wrong = {key: wrong for key, wrong in self.wrong.items() if key[: len(array)] != array}

    def save(self) -> None:
        """Write it down.

        Raises:
            ChangedError: another program has changed the file.
            ConfigError: something is wrong; one line for each problem.
        """
        if self.wrong:
            raise ConfigError(
                "\n".join(
                    f"{dotted(path)} = {wrong.typed!r}: {wrong.why}"
                    for path, wrong in self.wrong.items()
                )
            )
        self.file = self.file.write(self.text)
        self._settle(self.text)

    def _settle(self, text: str) -> None:
        """Begin anew with this text."""
        self.text = self._base = text
        self._changes = {}

    def reload(self) -> None:
        """Read the file again; what was not saved is gone.

        Raises:
            ConfigError: as in the beginning.
        """
        Draft.__init__(self, self.file.path)


_STATE_DIR = str(attrs.fields(NodeSettings).state_dir.default)
