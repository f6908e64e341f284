"""How Sphinx makes a site of these pages (docs/testing.md, "The pages")."""

from __future__ import annotations

from typing import Any

from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx
from sphinx.ext.napoleon import GoogleDocstring
from sphinx.util.typing import ExtensionMetadata

from sbs.version import __version__

project = "SBS"
author = "the authors of SBS"
release = version = __version__
html_title = f"SBS {release}"
html_theme = "furo"
html_copy_source = False
html_show_copyright = False

extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["locales"]
myst_heading_anchors = 4
"""Links name files and headings as on a forge, where the pages are read, too."""

locale_dirs = ["locales"]
gettext_compact = False
gettext_location = False  # it would change with every line above

nitpicky = True
nitpick_ignore_regex = [("py:.*", r"(?!sbs\.\w+$).*")]
"""Docstrings also name what is not public, for readers of the code; that is not on the site."""

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"


def setup(app: Sphinx) -> ExtensionMetadata:
    """Add what no extension has."""
    app.connect("autodoc-process-docstring", _arrange)
    app.add_lexer("mermaid", TextLexer)  # to draw them takes a script from outside
    return {"parallel_read_safe": True}


def _arrange(_: Sphinx, what: str, name: str, of: object, __: Any, lines: list[str]) -> None:
    """Have napoleon read the sections; not of attributes, where a colon would end a type."""
    if what not in {"attribute", "property", "data"}:
        lines[:] = GoogleDocstring(lines, what=what, name=name, obj=of).lines()
