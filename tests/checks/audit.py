"""Judges what pip-audit reports of ``requirements-dev.txt``; ``.ci/run`` pipes it in.

pip-audit alone ends well when it could look up nothing: each dependency is then "skipped". Here
that is no pass. A known vulnerability fails, and so does a dependency that was not looked up while
others were. Where nothing could be looked up, as without a way to the service, the run says that
nothing was audited, and goes on.
"""

from __future__ import annotations

import json
import sys
from typing import Any

NOTHING = "dependencies NOT audited: no service that knows vulnerabilities could be asked from here"


def verdict(report: str) -> tuple[int, list[str]]:
    """What to say of a report, and the exit code.

    Args:
        report: of ``pip-audit -f json``; empty if it made none, since it reached nobody.
    """
    found: list[dict[str, Any]] = json.loads(report)["dependencies"] if report.strip() else []
    skipped = [each for each in found if "skip_reason" in each]
    if len(skipped) == len(found):
        return 0, [NOTHING]
    lines = [
        f"{each['name']} {each['version']}: {vulnerability['id']}, mended in "
        f"{', '.join(vulnerability['fix_versions']) or 'no version'}"
        for each in found
        for vulnerability in each.get("vulns", ())
    ]
    lines += [f"{each['name']}: not audited: {each['skip_reason']}" for each in skipped]
    return (1, lines) if lines else (0, [f"no vulnerability is known of {len(found)} dependencies"])


if __name__ == "__main__":
    code, said = verdict(sys.stdin.read())
    sys.stdout.write("".join(f"{line}\n" for line in said))
    sys.exit(code)
