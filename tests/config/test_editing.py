"""R62, issue "For people": what an edit does not mean to change stays, byte by byte."""

from __future__ import annotations

import datetime as dt
import tomllib
from pathlib import Path

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sbs.config import load, parse
from sbs.config.editing import value_at, with_table, with_value, without
from sbs.config.problems import KeyPath
from sbs.config.text import quoted
from sbs.errors import ConfigError

TEXT = """\
# Alpha, in the cellar.

[node]
name = "alpha"   # painted on the case
peer = "127.0.0.1:4446"

# How often: agreed with Mrs. Maier.
[sync]
period_s = 30

# What the labels are printed from.
[[folders]]
name = "settings"
path = "/srv/app/settings"
filters = [
  # of editors
  "- *.tmp",   # vim
  "- *~",      # emacs

  # all else
  "+ *.conf"
]

# The labels.
[[folders]]
name = "labels"
path = "/srv/app/labels"

# The end.
"""


def test_a_value_is_replaced_where_it_stands() -> None:
    new = with_value(TEXT, ("node", "name"), "beta")
    assert new == TEXT.replace('"alpha"', '"beta"')
    assert parse(new, "x.toml").node.name == "beta"


def test_a_key_comes_after_the_last_one_of_its_table_not_after_the_next_ones_comment() -> None:
    new = with_value(TEXT, ("node", "priority"), 7)
    assert new == TEXT.replace('4446"\n', '4446"\npriority = 7\n')
    new = with_value(TEXT, ("folders", 0, "owner"), True)
    assert new == TEXT.replace("]\n\n# The labels", "]\nowner = true\n\n# The labels")


def test_a_table_that_is_missing_comes_at_the_end() -> None:
    new = with_value(TEXT, ("mail", "receivers"), ("a@example.org", "b@example.org"))
    assert new == f'{TEXT}\n[mail]\nreceivers = ["a@example.org", "b@example.org"]\n'


def test_a_table_may_follow_tables_inside_it() -> None:
    text = '[[services.unit]]\nname = "a"\n'
    new = with_value(text, ("services", "adapter"), "systemd")
    assert new == f'{text}\n[services]\nadapter = "systemd"\n'


def test_a_key_is_removed_with_its_line_alone() -> None:
    assert without(TEXT, ("sync", "period_s")) == TEXT.replace("period_s = 30\n", "")


def test_a_folder_is_removed_and_the_next_ones_comment_stays() -> None:
    new = without(TEXT, ("folders", 0))
    start, end = TEXT.index("[[folders]]"), TEXT.index("]\n\n# The labels.") + 2
    assert new == TEXT[:start] + TEXT[end:]
    assert [folder.name for folder in parse(new, "x.toml").folders] == ["labels"]
    assert without(without(TEXT, ("folders", 1)), ("folders", 0)).count("#") == 6


def test_a_folder_comes_after_the_others() -> None:
    new = with_table(TEXT, ("folders",), {"name": "new", "path": "/srv/new"})
    added = '\n[[folders]]\nname = "new"\npath = "/srv/new"\n'
    assert new == TEXT.replace('app/labels"\n', f'app/labels"\n{added}')


def test_the_first_folder_comes_at_the_end() -> None:
    table = {"name": "new", "path": "/srv/new", "filters": ["- *.tmp"]}
    text = '[node]\npeer = "other"'  # the last line has no end
    added = '\n[[folders]]\nname = "new"\npath = "/srv/new"\nfilters = ["- *.tmp"]\n'
    assert with_table(text, ("folders",), table) == f"{text}\n{added}"


FILTERS: KeyPath = ("folders", 0, "filters")


@pytest.mark.parametrize(
    ("rules", "old", "new"),
    [
        (["- *.tmp", "- *~"], '\n  "+ *.conf"', ""),
        (["- *.tmp", "+ *.conf"], '  "- *~",      # emacs\n', ""),
        (["- *.bak", "- *~", "+ *.conf"], '"- *.tmp"', '"- *.bak"'),
        (["- *.tmp", "- x", "- *~", "+ *.conf"], "# vim\n", '# vim\n  "- x",\n'),
        (["- *.tmp", "- *~", "+ *.conf", "- x"], '"+ *.conf"\n', '"+ *.conf",\n  "- x"\n'),
        (["- x", "- *.tmp", "- *~", "+ *.conf"], "[\n", '[\n  "- x",\n'),
    ],
)
def test_the_comments_of_the_other_items_stay(rules: list[str], old: str, new: str) -> None:
    assert with_value(TEXT, FILTERS, rules) == TEXT.replace(old, new)


def test_an_array_that_is_emptied_keeps_the_comments_on_lines_of_their_own() -> None:
    new = with_value(TEXT, FILTERS, [])
    assert "filters = [\n  # of editors\n\n  # all else\n]\n" in new


def test_an_item_on_the_line_of_another_ones_comment_is_no_part_of_it() -> None:
    text = 'x.y = [\n"a", # of a\n"b", "c"]\n'
    assert with_value(text, ("x", "y"), ["a", "c"]) == 'x.y = [\n"a", # of a\n"c"]\n'


def test_inline_tables_and_dotted_keys_are_changed_where_they_are() -> None:
    text = 'node = {peer = "b"}  # short\nsync.watch = true\nsync.period_s = 5 # often\n\n[mail]\n'
    new = with_value(text, ("node", "name"), "a")
    assert new == text.replace('{peer = "b"}', '{peer = "b", name = "a"}')
    new = with_value(text, ("sync", "rescan_s"), 60)
    assert new == text.replace("# often\n", "# often\nsync.rescan_s = 60\n")
    folders = 'folders = [{name = "a", path = "/a"}, {name = "b", path = "/b"}] # two\n'
    assert without(folders, ("folders", 0)) == 'folders = [{name = "b", path = "/b"}] # two\n'
    assert without(without(folders, ("folders", 0)), ("folders", 0)) == ""
    new = with_table(folders, ("folders",), {"name": "c"})
    assert new == folders.replace('"/b"}]', '"/b"}, {name = "c"}]')


def test_what_cannot_be_changed_without_losing_a_comment_is_refused() -> None:
    text = 'folders = [\n  {name = "a", path = "/a"}, # first\n]\n'
    with pytest.raises(ConfigError, match=r"folders\[1\].path: is written in a way"):
        with_value(text, ("folders", 0, "path"), "/b")
    with pytest.raises(ConfigError, match="not TOML"):
        with_value("[", ("node", "name"), "a")


def test_a_date_beside_what_is_changed_stays() -> None:
    text = "x = {y = 2026-01-31, z = 1}\n"
    new = with_value(text, ("x", "z"), 2)
    assert tomllib.loads(new) == {"x": {"y": dt.date(2026, 1, 31), "z": 2}}


def test_what_stands_there_already_is_not_written_anew() -> None:
    text = TEXT.replace("30", "3_0").replace('"alpha"', "'alpha'")
    assert with_value(text, ("sync", "period_s"), 30) == text
    assert with_value(text, ("node", "name"), "alpha") == text
    assert with_value(text, ("sync", "period_s"), 30.0) == text.replace("3_0", "30.0")


def test_the_ends_of_lines_are_kept() -> None:
    text = TEXT.replace("\n", "\r\n")
    new = with_value(text, FILTERS, ["- *.tmp", "- x", "- *~", "+ *.conf"])
    assert new == text.replace("# vim\r\n", '# vim\r\n  "- x",\r\n')
    assert with_value(text, ("mail", "port"), 26).count("\n") == text.count("\r\n") + 3


_blanks = st.sampled_from(["", " ", "  ", "\t"])
_comments = st.sampled_from(["", "# a", "# [x]", '# "', "# ä = 1", "#'''"])
_strings = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=12
) | st.sampled_from(['"', "'", "\\", '"""', "# no comment", "[x]", "a\nb", ""])
_scalars = st.booleans() | st.integers(-(2**40), 2**40) | st.floats(allow_nan=False) | _strings
_values = _scalars | st.lists(_strings, max_size=4)


@attrs.frozen
class Piece:
    """A line of a test's file, in pieces."""

    path: KeyPath
    before: str
    value: str
    after: str

    def __str__(self) -> str:
        return self.before + self.value + self.after


@st.composite
def _written(draw: st.DrawFn, value: object) -> str:
    """A value as a person may have written it."""
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str | list):
        return repr(value)
    if isinstance(value, str):
        forms = [quoted(value)]
        if value.isprintable() and "'" not in value:
            forms += [f"'{value}'", f"'''{value}'''"]
        if value.isprintable() and '"' not in value and "\\" not in value:
            forms += [f'"""{value}"""', f'"""\n{value}"""']
        return draw(st.sampled_from(forms))
    inside = ""
    for item in value:
        inside += draw(_between) + draw(_written(item)) + draw(_between) + ","
    inside = inside if draw(st.booleans()) else inside.removesuffix(",")
    return f"[{inside}{draw(_between)}]"


_between = st.sampled_from(["", " ", "\n", "\n  ", " # x\n", '\n# "]\n', "\n\n # y, z\n\t"])


@st.composite
def _files(draw: st.DrawFn) -> list[Piece]:
    pieces: list[Piece] = []

    def line(path: KeyPath, before: str, value: str) -> None:
        end = draw(_blanks) + draw(_comments)
        pieces.append(Piece(path, draw(_blanks) + before, value, f"{end}\n"))

    def filler() -> None:
        comments = draw(st.lists(_comments, max_size=2))
        pieces.extend(Piece((), draw(_blanks), comment, "\n") for comment in comments)

    tables: list[KeyPath] = [("a",), ("f", 0), ("b c",), ("f", 1), ("a", "in"), ("d",)]
    for table in draw(
        st.permutations(tables).filter(lambda t: t.index(("f", 0)) < t.index(("f", 1)))
    ):
        filler()
        header = {"b c": "['b c']", "in": "[a . in]"}.get(str(table[-1]), f"[{table[0]}]")
        line(table, f"[{header}]" if table[0] == "f" else header, "")
        for name in draw(st.lists(st.sampled_from("xyz"), unique=True)):
            filler()
            written = draw(st.sampled_from([name, f'"{name}"', f"'{name}'"]))
            line(
                (*table, name),
                f"{written}{draw(_blanks)}={draw(_blanks)}",
                draw(_values.flatmap(_written)),
            )
    filler()
    return pieces


@settings(max_examples=60)
@given(_files(), st.sampled_from([("a",), ("f", 0), ("b c",), ("f", 1), ("a", "in"), ("d",)]),
       st.sampled_from("xyz"), _values)  # fmt: skip
def test_all_else_stays_byte_for_byte(
    pieces: list[Piece], table: KeyPath, name: str, value: object
) -> None:
    text = "".join(map(str, pieces))
    path = (*table, name)
    tomllib.loads(text)
    new = with_value(text, path, value)
    assert value_at(new, path) == value
    place = next((n for n, piece in enumerate(pieces) if piece.path == path), None)
    if place is None:
        last = max(n for n, piece in enumerate(pieces) if path[:-1] in (piece.path, piece.path[:-1])
                   and _begins_with_key(piece, path))  # fmt: skip
        before = "".join(map(str, pieces[: last + 1]))
        after = "".join(map(str, pieces[last + 1 :]))
        assert new.startswith(before)
        assert new.endswith(after)
        assert new.count("\n") == text.count("\n") + 1
        assert without(new, path) == text
    else:
        head = "".join(map(str, pieces[:place])) + pieces[place].before
        tail = pieces[place].after + "".join(map(str, pieces[place + 1 :]))
        assert new.startswith(head)
        assert new.endswith(tail)
        assert without(text, path) == "".join(map(str, pieces[:place] + pieces[place + 1 :]))


def _begins_with_key(piece: Piece, path: KeyPath) -> bool:
    """Whether it is the header of the key's table, or a key under it."""
    return piece.path == path[:-1] or (piece.path[:-1] == path[:-1] and bool(piece.value))


@settings(max_examples=40)
@given(_files())
def test_whole_tables_of_an_array_go_and_come(pieces: list[Piece]) -> None:
    text = "".join(map(str, pieces))
    more = with_table(text, ("f",), {"name": "new", "list": ["a", "b"]})
    assert value_at(more, ("f", 2)) == {"name": "new", "list": ["a", "b"]}
    assert [line for line in more.split("\n") if line.strip()] != []
    fewer = without(text, ("f", 1))
    assert value_at(fewer, ("f",)) == [value_at(text, ("f", 0))]
    gone = {n for n, piece in enumerate(pieces) if piece.path[:2] == ("f", 1)}
    kept = [str(piece) for n, piece in enumerate(pieces) if not min(gone) <= n <= max(gone)]
    assert fewer == "".join(kept)


@given(st.lists(_strings, max_size=5), st.lists(_strings, max_size=5), st.data())
def test_items_keep_their_comments(old: list[str], new: list[str], data: st.DataObject) -> None:
    text = f"[t]\nx = {data.draw(_written(old))} # end\ny = 1\n"
    after = with_value(text, ("t", "x"), new)
    assert tomllib.loads(after) == {"t": {"x": new, "y": 1}}
    assert after.endswith(" # end\ny = 1\n")
    if old == new:
        assert after == text


def test_what_was_set_is_what_a_node_reads(tmp_path: Path) -> None:
    text = with_value(TEXT, ("node", "listen"), "127.0.0.1:5000")
    text = with_value(text, ("sync", "max_deletes"), "10%")
    text = with_value(text, ("mail", "receivers"), ["a@example.org"])
    text = with_value(text, ("hooks", "update"), [["/bin/a", "b"], ["/bin/c"]])
    (tmp_path / "x.toml").write_text(text)
    config = load(tmp_path / "x.toml")
    assert str(config.node.listen) == "127.0.0.1:5000"
    assert config.sync.max_deletes == "10%"
    assert config.mail.receivers == ("a@example.org",)
    assert config.hooks.update == (("/bin/a", "b"), ("/bin/c",))
