"""Which entries of a folder are replicated: ordered include and exclude rules (R21).

A rule is ``"+ PATTERN"`` (include) or ``"- PATTERN"`` (exclude). The last rule that matches an
entry decides; an entry that no rule matches is included. What lies below an excluded directory
is excluded, whatever later rules say of it, as in git: a tree that is excluded need not be read.
To keep single files only, let the directories in: ``["- *", "+ */", "+ *.conf"]``.

Patterns are gitignore's, always with ``/``:

- ``*`` and ``?`` match any characters, or one, of a name; ``[a-z]`` and ``[!a-z]`` one of a set;
  a backslash takes the next character literally.
- A pattern without ``/`` (other than at its end) matches a name at any depth; any other is
  matched against the whole path from the folder's root.
- ``**`` as a component stands for any number of directories; at the end for everything below.
- ``/`` at the end restricts a pattern to directories.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import attrs

from sbs.core.manifest import Entry, Kind, Manifest
from sbs.core.printable import literal

MAX_RULES: Final = 1000
"""Rules of one folder: every entry is held against each of them."""

MAX_RULE_CHARACTERS: Final = 1024
"""Longest rule: four names of full length; bounds the work of one comparison."""

MAX_RULE_COMPONENTS: Final = 64
"""Names in a rule: more than a person writes. Each may be tried at each of 2000 places of a path,
which takes 5 ms at most; so all rules of a folder take 5 s, after which a comparison can end."""

_DIRECTORIES: Final = "(?:[^/]+/)*"
_GAP: Final = "(?:[^/]+/)*?"


@attrs.frozen
class Decision:
    """Whether an entry is replicated, and why.

    Args:
        included: the verdict.
        rule: the rule that decided, as written; empty where none matched.
        number: its position in the list, from 1; 0 where none matched.
    """

    included: bool
    rule: str = ""
    number: int = 0


DEFAULT: Final = Decision(True)
"""No rule matches: included."""


@attrs.frozen
class _Rule:
    decision: Decision
    matches: Callable[[str], object]
    whole_path: bool
    directories_only: bool


def _go_on() -> None:
    """What cancels nothing."""


@attrs.frozen
class Filter:
    """The rules of one folder; make it with :meth:`parse`."""

    _rules: tuple[_Rule, ...] = ()

    @classmethod
    def parse(cls, rules: Sequence[str]) -> Filter:
        """Compile rules in the order in which they are configured.

        Args:
            rules: at most :data:`MAX_RULES`, each at most :data:`MAX_RULE_CHARACTERS` long, of
                :data:`MAX_RULE_COMPONENTS` components.

        Raises:
            ValueError: a rule is malformed; the text quotes it and says what is allowed.
        """
        if len(rules) > MAX_RULES:
            raise ValueError(f"{len(rules)} filter rules; at most {MAX_RULES} are allowed")
        compiled = [_parse(rule, number) for number, rule in enumerate(rules, 1)]
        return cls(tuple(reversed(compiled)))

    def includes(self, path: str, is_directory: bool, check: Callable[[], object] = _go_on) -> bool:
        """Whether the entry at ``path`` (relative, with ``/``) is replicated.

        Args:
            path: of the entry.
            is_directory: what it is.
            check: called for each directory above; may raise to cancel. Where rules and path are
                another node's, all of it may take minutes.
        """
        return self.explain(path, is_directory, check).included

    def explain(
        self, path: str, is_directory: bool, check: Callable[[], object] = _go_on
    ) -> Decision:
        """Which rule decides over ``path``: that of the topmost excluded directory, or its own.

        For the arguments see :meth:`includes`.
        """
        if not self._rules:
            return DEFAULT
        end = path.find("/")
        while end != -1:
            check()
            decision = self.decide(path[:end], True)
            if not decision.included:
                return decision
            end = path.find("/", end + 1)
        return self.decide(path, is_directory)

    def decide(self, path: str, is_directory: bool) -> Decision:
        """As :meth:`explain`, for an entry whose directories are known to be included."""
        name = basename(path)
        for rule in self._rules:
            if (is_directory or not rule.directories_only) and rule.matches(
                path if rule.whole_path else name
            ):
                return rule.decision
        return DEFAULT

    def select(self, entries: Manifest) -> Manifest:
        """The included ones of ``entries``, in their order."""
        if not self._rules:
            return entries
        excluded: dict[str, bool] = {"": False}

        def below_excluded(parent: str) -> bool:
            unknown: list[str] = []  # no recursion: a peer may name a path of 2000 components
            while (known := excluded.get(parent)) is None:
                unknown.append(parent)
                parent = parent_of(parent)
            for directory in reversed(unknown):
                known = known or not self.decide(directory, True).included
                excluded[directory] = known
            return known

        def included(entry: Entry) -> bool:
            if below_excluded(parent_of(entry.path)):
                return False
            return self.decide(entry.path, entry.kind is Kind.DIRECTORY).included

        return {path: entry for path, entry in entries.items() if included(entry)}


def parent_of(path: str) -> str:
    """The directory that ``path`` lies in, ``""`` for the folder's root."""
    return path[: max(path.rfind("/"), 0)]


def basename(path: str) -> str:
    """The last component of ``path``."""
    return path[path.rfind("/") + 1 :]


def directories_above(paths: Iterable[str]) -> set[str]:
    """All directories that ``paths`` lie in, below the folder's root."""
    above: set[str] = set()
    for path in paths:
        directory = parent_of(path)
        while directory and directory not in above:
            above.add(directory)
            directory = parent_of(directory)
    return above


def _parse(rule: str, number: int) -> _Rule:
    if len(rule) > MAX_RULE_CHARACTERS:
        raise ValueError(
            f"filter rule {number} has {len(rule)} characters;"
            f" at most {MAX_RULE_CHARACTERS} are allowed"
        )
    sign, pattern = rule[:2], rule[2:]
    if sign not in ("+ ", "- ") or not pattern.strip("/"):
        raise ValueError(f"filter rule {literal(rule)}: '+ PATTERN' or '- PATTERN' is allowed")
    components = pattern.removeprefix("/").removesuffix("/").split("/")
    if not all(components) or "." in components or ".." in components:
        raise ValueError(
            f"filter rule {literal(rule)}: components that are empty, '.' or '..' are not allowed"
        )
    if len(components) > MAX_RULE_COMPONENTS:
        raise ValueError(
            f"filter rule {number} has {len(components)} components;"
            f" at most {MAX_RULE_COMPONENTS} are allowed"
        )
    whole_path = "/" in pattern.removesuffix("/") or components == ["**"]
    try:
        expression = _expression(components)
    except ValueError as error:
        raise ValueError(f"filter rule {literal(rule)}: {error}") from None
    return _Rule(
        decision=Decision(sign == "+ ", rule, number),
        matches=re.compile(expression, re.DOTALL).fullmatch,
        whole_path=whole_path,
        directories_only=pattern.endswith("/"),
    )


def _expression(components: Iterable[str]) -> str:
    """The regular expression for a path.

    Between two ``**`` the first place that fits is as good as any later one, and likewise
    between two ``*`` of a name. Atomic groups hold on to it, so that matching takes polynomial
    time of low degree whatever the pattern.
    """
    runs: list[list[str]] = [[]]
    for component in components:
        if component != "**":
            runs[-1].append(_component(component))
        elif runs[-1] or len(runs) == 1:
            runs.append([])
    first, *rest = ["/".join(run) for run in runs]
    if not rest:
        return first
    *middle, last = rest
    parts = [f"{first}/"] if first else []
    parts += [f"(?>{_GAP}{run}/)" for run in middle]
    parts.append(f"{_DIRECTORIES}{last}" if last else ".+")
    return "".join(parts)


def _component(glob: str) -> str:
    """The regular expression for one name of a path."""
    runs = [""]
    position = 0
    while position < len(glob):
        character = glob[position]
        position += 1
        if character == "*":
            runs.append("")
        elif character == "?":
            runs[-1] += "[^/]"
        elif character == "[":
            expression, position = _character_set(glob, position)
            runs[-1] += expression
        elif character == "\\":
            if position == len(glob):
                raise ValueError("a character must follow the backslash")
            runs[-1] += re.escape(glob[position])
            position += 1
        else:
            runs[-1] += re.escape(character)
    first, *rest = runs
    if not rest:
        return first
    *middle, last = rest
    # A lone star stands for at least one character: a name is never empty.
    start = first or "(?=[^/])"
    return start + "".join(f"(?>[^/]*?{run})" for run in middle if run) + f"[^/]*{last}"


def _character_set(glob: str, start: int) -> tuple[str, int]:
    """The expression for ``[...]`` whose inside begins at ``start``, and where it ends."""
    negated = glob[start : start + 1] in ("!", "^")
    position = first = start + negated
    items: list[str] = []
    while position < len(glob) and (glob[position] != "]" or position == first):
        low, position = _set_member(glob, position)
        high = low
        if glob[position : position + 1] == "-" and glob[position + 1 : position + 2] not in (
            "",
            "]",
        ):
            high, position = _set_member(glob, position + 1)
            if high < low:
                raise ValueError(f"the range {low}-{high} runs backwards")
        items.append(f"{re.escape(low)}-{re.escape(high)}")
    if position >= len(glob):
        raise ValueError("'[' needs its ']'")
    return f"(?!/)[{'^' if negated else ''}{''.join(items)}]", position + 1


def _set_member(glob: str, position: int) -> tuple[str, int]:
    if glob[position] == "\\":
        position += 1
    elif glob[position : position + 2] == "[:":
        raise ValueError("named classes such as [:alpha:] are not supported; write the range")
    if position == len(glob):
        raise ValueError("a character must follow the backslash")
    return glob[position], position + 1
