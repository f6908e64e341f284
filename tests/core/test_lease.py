from __future__ import annotations

import pytest

from sbs.core.lease import SETTLE_S, hold_s


def test_a_voter_keeps_still_until_the_services_of_the_other_are_gone() -> None:
    """B3: also when the borrower's clock is as slow, and the voter's as fast, as they may be."""
    for lease_s, stop_bound_s, drift in ((5.0, 5.0, 0.01), (1.0, 0.0, 0.5), (30.0, 2.0, 0.0)):
        longest_s = (lease_s + stop_bound_s + SETTLE_S) / (1 - drift)
        assert hold_s(lease_s, stop_bound_s, drift) / (1 + drift) == pytest.approx(longest_s)
