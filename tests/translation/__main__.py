"""``python -m tests.translation`` brings the catalogues up to date with the sources.

What is new stands in them with an empty translation, what is gone has left them. Translate, and
run it again: that compiles them, too.
"""

from __future__ import annotations

import sys

from tests.translation.catalogue import LANGUAGES, compiled, missing, read, template, write

sentences = template()
for language in LANGUAGES:
    found = read(language)
    found.update(sentences, no_fuzzy_matching=True)
    found.obsolete.clear()
    write(language, found)
    compiled(language)
    for message in missing(found):
        sys.stdout.write(f"{language}: not translated: {message}\n")
