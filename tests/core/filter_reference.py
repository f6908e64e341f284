"""What filter rules mean, written a second time: slow, recursive, and with no code of SBS in it.

Names are matched character by character, paths component by component. There are no regular
expressions, and nothing is tried twice only because answers are remembered.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TypeAlias

Set: TypeAlias = tuple[bool, tuple[tuple[str, str], ...]]
"""``[...]``: whether it is negated, and its ranges."""

Token: TypeAlias = str | Set
"""``"*"`` and ``"?"``, a literal character behind a backslash, or a set."""


class MalformedError(Exception):
    """A rule that means nothing."""


def decide(rules: Sequence[str], path: str, is_directory: bool) -> tuple[bool, int]:
    """Whether an entry is replicated, and the number of the rule that says so (0: none).

    Raises:
        MalformedError: a rule is malformed.
    """
    for rule in rules:
        _check(rule)
    components = path.split("/")
    verdict = (True, 0)
    for depth in range(1, len(components) + 1):
        inner = depth < len(components)
        verdict = _last_match(rules, tuple(components[:depth]), inner or is_directory)
        if not verdict[0]:
            break
    return verdict


def _last_match(
    rules: Sequence[str], components: tuple[str, ...], is_directory: bool
) -> tuple[bool, int]:
    for number in range(len(rules), 0, -1):
        rule = rules[number - 1]
        if rule.endswith("/") and not is_directory:
            continue
        if _matches(rule[2:], components):
            return rule[0] == "+", number
    return True, 0


def _matches(pattern: str, components: tuple[str, ...]) -> bool:
    body = pattern.removesuffix("/")
    if "/" in body or body == "**":
        wanted = tuple((body[1:] if body[0] == "/" else body).split("/"))
        return _path(wanted, components)
    return _name(_tokens(body), components[-1])


@cache
def _path(wanted: tuple[str, ...], components: tuple[str, ...]) -> bool:
    if not wanted:
        return not components
    if wanted == ("**",):
        return bool(components)
    if wanted[0] == "**":
        return _path(wanted[1:], components) or (bool(components) and _path(wanted, components[1:]))
    return (
        bool(components)
        and _name(_tokens(wanted[0]), components[0])
        and _path(wanted[1:], components[1:])
    )


@cache
def _name(tokens: tuple[Token, ...], name: str) -> bool:
    if not tokens:
        return not name
    first, rest = tokens[0], tokens[1:]
    if first == "*":
        return _name(rest, name) or (bool(name) and _name(tokens, name[1:]))
    return bool(name) and _is_one(first, name[0]) and _name(rest, name[1:])


def _is_one(token: Token, character: str) -> bool:
    if isinstance(token, str):
        return token == "?" or token == "\\" + character
    negated, ranges = token
    return any(low <= character <= high for low, high in ranges) is not negated


def _check(rule: str) -> None:
    sign, pattern = rule[:2], rule[2:]
    if sign not in ("+ ", "- ") or not pattern.strip("/"):
        raise MalformedError
    body = pattern.removesuffix("/")
    body = body.removeprefix("/")
    for component in body.split("/"):
        if component in ("", ".", ".."):
            raise MalformedError
        _tokens(component)


@cache
def _tokens(component: str) -> tuple[Token, ...]:
    tokens: list[Token] = []
    rest = component
    while rest:
        if rest[0] == "[":
            token, rest = _set(rest[1:])
            tokens.append(token)
        elif rest[0] == "\\":
            tokens.append("\\" + _next(rest[1:]))
            rest = rest[2:]
        else:
            tokens.append(rest[0] if rest[0] in "*?" else "\\" + rest[0])
            rest = rest[1:]
    return tuple(tokens)


def _set(rest: str) -> tuple[Set, str]:
    negated = rest[:1] in ("!", "^")
    rest = rest[negated:]
    ranges: list[tuple[str, str]] = []
    while not ranges or rest[:1] != "]":
        low, rest = _member(rest)
        high = low
        if rest[:1] == "-" and rest[1:2] not in ("", "]"):
            high, rest = _member(rest[1:])
        if high < low:
            raise MalformedError
        ranges.append((low, high))
    return (negated, tuple(ranges)), rest[1:]


def _member(rest: str) -> tuple[str, str]:
    if rest[:2] == "[:":
        raise MalformedError
    if rest[:1] == "\\":
        return _next(rest[1:]), rest[2:]
    return _next(rest), rest[1:]


def _next(rest: str) -> str:
    if not rest:
        raise MalformedError
    return rest[0]
