"""In which language the command line speaks to people (``docs/cli.md``).

gettext's domain is of the process, and click looks there, too. So an application may set it and a
library must not: only the command line calls this.
"""

from __future__ import annotations

import gettext
import os
from pathlib import Path
from typing import Final

DOMAIN: Final = "sbs"

LOCALES: Final = Path(__file__).parent.parent / "locales"
"""The catalogues, as gettext lays them out."""

_VARIABLES: Final = ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")
"""That gettext looks at; the first one that is set counts."""


def choose() -> None:
    """Speak the language that the environment asks for, if there is a catalogue; else English."""
    wanted = next((text for name in _VARIABLES if (text := os.environ.get(name))), "")
    for name in wanted.split(":"):
        if name.startswith("en"):
            break  # what the sources are written in: gettext would go on to the next one
        if gettext.find(DOMAIN, LOCALES, [name]):
            gettext.bindtextdomain(DOMAIN, LOCALES)
            gettext.textdomain(DOMAIN)
            return
    speak_english()


def speak_english() -> None:
    """Speak English from now on, as the log does."""
    gettext.textdomain("messages")
