"""The other engine: atheris, which is led by the code that an input reaches.

It is not among the development dependencies, since it has wheels for Linux on x86-64 alone.
"""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from tests.fuzz.contract import Target
from tests.fuzz.engine import CORPUS, HARD_S, FindingError, judge, shares
from tests.fuzz.mutate import Mutator

RSS_MIB: Final = 1024
"""Memory of the whole process, beyond which libFuzzer ends it."""

MISSING: Final = "atheris is not installed: pip install 'atheris>=3' (Linux on x86-64)"


def fuzz(targets: Sequence[Target], seconds: float, found: Path) -> int:
    """Run each target in a process of its own, which libFuzzer ends."""
    if find_spec("atheris") is None:
        print(MISSING, file=sys.stderr)  # noqa: T201
        return 2
    failed = 0
    for target, share in shares(targets, seconds):
        grown = found / target.name
        grown.mkdir(exist_ok=True)
        command = [
            *(sys.executable, "-m", __name__, target.name, str(grown), str(CORPUS / target.name)),
            f"-max_total_time={max(1, round(share))}",
            f"-timeout={HARD_S:.0f}",
            f"-rss_limit_mb={RSS_MIB}",
            f"-max_len={target.longest_bytes}",
            f"-artifact_prefix={found}/{target.name}-",
            "-verbosity=1",
            "-print_final_stats=1",
        ]
        failed += subprocess.run(command, check=False).returncode != 0
    return 1 if failed else 0


def _main(name: str, arguments: list[str]) -> None:
    import atheris  # noqa: PLC0415 - not everywhere

    # What is imported inside is instrumented; what this module needs itself is no decoder.
    with atheris.instrument_imports(include=["sbs"]):
        for module in [each for each in sys.modules if each.split(".")[0] == "sbs"]:
            del sys.modules[module]
        for module in [each for each in sys.modules if each.startswith("tests.")]:
            if module not in _OWN:
                del sys.modules[module]
        from tests.fuzz.targets import TABLE  # noqa: PLC0415 - instrumented only here

    target = TABLE[name]

    def run(data: bytes) -> None:
        try:
            judge(target, data)
        except FindingError as finding:
            raise finding from finding.__cause__

    def change(data: bytes, longest: int, seed: int) -> bytes:
        """Half of the changes are ours, which know the form; the others libFuzzer's."""
        chance = random.Random(seed)
        if chance.random() < 0.5:
            return Mutator(target, chance).make([data])[:longest]
        changed: Any = atheris.Mutate(data, longest)
        return bytes(changed)

    atheris.Setup([name, *arguments], run, custom_mutator=change)
    atheris.Fuzz()


_OWN: Final = (
    "tests.fuzz",
    "tests.fuzz.contract",
    "tests.fuzz.engine",
    "tests.fuzz.mutate",
    "tests.fuzz.coverage_guided",
)

if __name__ == "__main__":
    _main(sys.argv[1], sys.argv[2:])
