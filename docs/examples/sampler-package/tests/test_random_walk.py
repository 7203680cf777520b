"""The sampler keeps its contract."""

from gradbench.testing import check_sampler


def test_random_walk_keeps_its_contract() -> None:
    """Every promise, and the right moments on four models that know them."""
    check_sampler("walkers:random_walk", is_quick=True)
