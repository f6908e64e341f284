"""A node has enough descriptors, or does not begin."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

from sbs.runtime.descriptors import NEEDED

PROGRAM = """
import resource, sys
from sbs.errors import ConfigError
from sbs.runtime.descriptors import claim_descriptors

limits = (int(sys.argv[1]), int(sys.argv[2]))
resource.setrlimit(resource.RLIMIT_NOFILE, limits)
try:
    claim_descriptors()
except ConfigError as error:
    print(error)
else:
    print(*resource.getrlimit(resource.RLIMIT_NOFILE))
"""
"""Prints the limits, soft and hard, that a process has then."""


@pytest.mark.parametrize(
    ("soft", "hard", "said"),
    [
        (100, NEEDED, f"{NEEDED} {NEEDED}"),
        (NEEDED + 1, NEEDED + 2, f"{NEEDED + 1} {NEEDED + 2}"),
        (100, NEEDED - 1, f"allowed {NEEDED - 1}: raise LimitNOFILE= of its unit, or ulimit -n"),
    ],
)
def test_a_low_limit_is_raised_where_the_system_allows_it(soft: int, hard: int, said: str) -> None:
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[1] > NEEDED + 2
    command = [sys.executable, "-c", PROGRAM, str(soft), str(hard)]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    assert done.stdout.strip().endswith(said)
