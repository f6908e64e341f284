"""The messages that errors are raised with, read from the source: what an operator has in his hand.

Constant parts are as they are printed, and a field stands in braces: ``{path}: cannot be written``.
What is a field alone, such as a text that somebody else wrote, is left out.
"""

from __future__ import annotations

import ast
import functools
import importlib
import itertools
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeAlias

from tests.errors.tree import classes

ROOT: Final = Path(__file__).parents[2]

Local: TypeAlias = Mapping[str, Sequence[ast.expr]]
"""What a function assigns to each of its names."""


_OTHERS: Final = {
    "IdentityError": (0, 1),
    "RejectedError": (0, 1),
    "TlsError": (0, 1),
    "BusError": (1,),
    "Answer": (1,),
    "Refuse": (2,),
    "Clash": (2,),
}
"""Arguments that make up the text, where it is not the first one: of classes of errors, and of what
the role machine answers an operator and another node."""

_FORM: Final = re.compile(r"\{([a-z_]+)(?:![a-z])?(?::[^{}]*)?\}")
"""A field of a sentence for ``str.format``, and how it is written."""

_SAME: Final = {"Answer": "RefusedError", "Clash": "Refuse"}
"""What the text of one becomes that of."""


@functools.cache
def said() -> Mapping[str, Sequence[str]]:
    """The messages of each class of errors, and of ``Refuse``, by their first words."""
    names = {each.__name__: (0,) for each in classes()} | _OTHERS
    found: dict[str, set[str]] = {name: set() for name in names}
    for path in sorted(ROOT.glob("sbs/**/*.py")):
        if not path.is_relative_to(ROOT / "sbs" / "testing"):
            module = _Module(path)
            for name, arguments, local in module.calls():
                positions = names.get(name, ())
                if positions and len(arguments) > max(positions):
                    parts = [module.texts(arguments[at], local) for at in positions]
                    texts = {"; ".join(each) for each in itertools.product(*parts)}
                    found[_SAME.get(name, name)] |= texts
    return {
        name: sorted(filter(_says_something, texts), key=_spoken) for name, texts in found.items()
    }


def _says_something(text: str) -> bool:
    return re.search(r"[a-z]{2}", re.sub(r"\{[^}]*\}", "", text)) is not None


def _spoken(text: str) -> str:
    """Fields at the beginning do not count for the order."""
    return re.sub(r"^(?:\W|\{[^}]*\})*", "", text).lower()


class _Module:
    """The source of one module."""

    def __init__(self, path: Path) -> None:
        self._tree = ast.parse(path.read_text("utf-8"))
        self._constants = _constants(path)

    def calls(self) -> Iterator[tuple[str, Sequence[ast.expr], Local]]:
        """Each call: whom, with what, and what the names of the function around it stand for."""
        for function, owner in _functions(self._tree):
            local: dict[str, list[ast.expr]] = defaultdict(list)
            for name, value in _assigned(ast.walk(function)):
                local[name].append(value)
            for node in ast.walk(function):
                if isinstance(node, ast.Call):
                    for name in _called(node.func, owner):
                        yield name, node.args, local

    def texts(self, node: ast.expr, local: Local) -> list[str]:
        """All texts that an expression may stand for."""
        match node:
            case ast.Constant(value=value):
                return [str(value)]
            case ast.JoinedStr(values=parts):
                return self._joined(parts, local)
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return self._joined([left, right], local)
            case ast.IfExp(body=body, orelse=orelse):
                return self.texts(body, local) + self.texts(orelse, local)
            case ast.FormattedValue(value=ast.Name(id=name)) if _is_text(local.get(name, ())):
                return self.texts(ast.Name(name), local)
            case ast.FormattedValue(value=value):
                return [self._constants.get(_name(value)) or f"{{{_field(value)}}}"]
            case ast.Call(func=ast.Attribute(value=sentence, attr="format")):
                return [re.sub(_FORM, r"{\1}", text) for text in self.texts(sentence, local)]
            case ast.Call(func=ast.Name(id="_"), args=[sentence]):  # gettext's
                return self.texts(sentence, local)
            case ast.Name(id=name) if name in local:
                others = {each: values for each, values in local.items() if each != name}
                return [text for value in local[name] for text in self.texts(value, others)]
            case _:
                return [self._constants.get(_name(node)) or f"{{{_field(node)}}}"]

    def _joined(self, parts: Iterable[ast.expr], local: Local) -> list[str]:
        every = (self.texts(part, local) for part in parts)
        return ["".join(each) for each in itertools.product(*every)]


def _constants(path: Path) -> dict[str, str]:
    """The texts and numbers of a module; none of one that only Windows can import."""
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    if name.endswith("__main__"):
        return {}
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError:
        return {}
    return {
        name: f"{value:g}" if isinstance(value, float) else str(value)
        for name, value in vars(module).items()
        if isinstance(value, (str, int, float))
    }


def _functions(tree: ast.Module) -> Iterator[tuple[ast.AST, str]]:
    """Each function, with the class that it is a method of."""
    owners = {
        function: owner.name
        for owner in ast.walk(tree)
        if isinstance(owner, ast.ClassDef)
        for function in owner.body
    }
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node, owners.get(node, "")


def _called(function: ast.expr, owner: str) -> Iterator[str]:
    match function:
        case ast.Name(id=name):
            yield name
        case ast.IfExp(body=body, orelse=orelse):
            yield from _called(body, owner)
            yield from _called(orelse, owner)
        case ast.Attribute(value=ast.Call(func=ast.Name(id="super")), attr="__init__"):
            yield owner
        case _:
            pass


def _is_text(values: Sequence[ast.expr]) -> bool:
    return bool(values) and all(
        isinstance(each, (ast.JoinedStr, ast.IfExp))
        or (isinstance(each, ast.Call) and list(_called(each.func, "")) == ["_"])
        or (isinstance(each, ast.Constant) and isinstance(each.value, str))
        for each in values
    )


def _assigned(nodes: Iterable[ast.AST]) -> Iterator[tuple[str, ast.expr]]:
    for node in nodes:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                yield name, value
            case ast.Assign(targets=[ast.Tuple(elts=names)], value=ast.Tuple(elts=values)):
                for each, value in zip(names, values, strict=True):
                    yield _name(each), value
            case _:
                pass


def _name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else ""


def _field(node: ast.expr) -> str:
    """What a person would call a field."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name.strip("_").lower()
        case ast.Call(args=[argument, *_]):
            return _field(argument)
        case ast.Call(func=value) | ast.Subscript(value=value) | ast.Starred(value=value):
            return _field(value)
        case ast.BoolOp(values=[value, *_]):
            return _field(value)
        case _:
            return "..."
