"""What SBS logs: events, each declared once with a name, a level, its text and what to do.

The loggers are those of the standard library, below ``sbs``; nothing is configured here, so a
program that embeds SBS decides what is written and where. Every line from level info on is an
event; ``docs/log.md`` lists them all, and is made from the declarations. Lines of level debug are
for developers, and have no name.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from logging import ERROR, INFO, WARNING
from string import Formatter
from typing import Final

import attrs

__all__ = ["ERROR", "INFO", "WARNING", "Event", "Log", "LoggedEvent"]


class Log:
    """The log of one module.

    Args:
        name: of the module, which is that of its logger.
    """

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)
        self.debug: Final[Callable[..., None]] = self._logger.debug
        """As :meth:`logging.Logger.debug`: for developers, in no catalogue."""

    def event(self, name: str, level: int, text: str, meaning: str) -> Event:
        """Declare an event of this module.

        Args:
            name: words with hyphens between them, used once in all of SBS.
            level: ``INFO``, ``WARNING`` or ``ERROR``.
            text: the sentence, for :meth:`str.format`, with the event's fields by their names.
            meaning: what an operator should know, and do, in whole sentences.
        """
        named = dict.fromkeys(field for _, field, _, _ in Formatter().parse(text) if field)
        return Event(
            self._logger, name=name, level=level, text=text, meaning=meaning, fields=tuple(named)
        )


@attrs.frozen(kw_only=True, eq=False)
class Event:
    """Something that is worth a line; a call writes one.

    Args:
        logger: of the module that declared it.
        name: for programs; it stays when the text becomes a better one.
        level: of :mod:`logging`.
        text: for :meth:`str.format`.
        meaning: what an operator should know, and do.
        fields: the names in the text, in their order.
    """

    logger: logging.Logger = attrs.field(kw_only=False)
    name: str
    level: int
    text: str
    meaning: str
    fields: tuple[str, ...]

    def __call__(self, *, exc_info: BaseException | None = None, **fields: object) -> None:
        """Log it.

        Args:
            exc_info: a bug of SBS or of an adapter, whose traceback goes with the line.
            fields: exactly those of the text.

        Raises:
            TypeError: one is missing, or there is another; a test of SBS looks at every call.
        """
        if fields.keys() != {*self.fields}:
            raise TypeError(f"the event {self.name} has the fields {', '.join(self.fields)}")
        logged = LoggedEvent(self, fields)
        self.logger.log(self.level, logged, exc_info=exc_info, stacklevel=2)


@attrs.frozen
class LoggedEvent:
    """An event that happened; ``str()`` of it is the sentence.

    It is the ``msg`` of a :class:`logging.LogRecord`, where a handler finds name and fields.

    Args:
        event: which.
        fields: their values, as the module has them: numbers, texts, addresses, errors.
    """

    event: Event
    fields: Mapping[str, object]

    @property
    def name(self) -> str:
        """Of the event."""
        return self.event.name

    def __str__(self) -> str:
        return self.event.text.format_map(self.fields)
