"""For the tests of a package that offers a sampler: its contract, as an assertion."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from gradbench.results.check_sampler import FULL, QUICK, Contract, check
from gradbench.results.execute import Silent

__all__ = ["Contract", "check_sampler"]


def check_sampler(
    sampler: str | Path,
    *,
    options: Mapping[str, Any] = MappingProxyType({}),
    models: Sequence[str] = (),
    seed: int = 0,
    is_quick: bool = False,
    expected_failures: Mapping[str, str] = MappingProxyType({}),
) -> Contract:
    """Return a sampler's contract, of which every promise is kept but for those expected not to be.

    Args:
        sampler: the path of a file, ``package:name`` or a shipped name.
        options: those that are not to have their defaults.
        models: what it is run on, as ``use:`` of a config has it; by default four with exact
            moments.
        seed: all other seeds come from it.
        is_quick: run fewer replicates.
        expected_failures: by the name of a promise, why it can't be kept.

    Raises:
        AssertionError: a promise isn't kept, or is kept that was expected not to be; the message
            has a line for each.
        GradbenchError: there is no such sampler, option or model, or it can't be run on them.
        ValueError: ``expected_failures`` names no promise, or one without a reason.
    """
    effort = QUICK if is_quick else FULL
    found = check(
        str(sampler),
        Silent(),
        options=options,
        models=models,
        seed=seed,
        effort=effort,
    )
    names = [line.name for line in found.lines]
    for name, reason in expected_failures.items():
        if name not in names:
            raise ValueError(f"expected_failures: no promise {name!r}; there are {names}")
        if not reason.strip():
            raise ValueError(f"expected_failures: say why {name!r} can't be kept")
    wrong = [
        f"{name}: {said}" for name, said in found.failed.items() if name not in expected_failures
    ]
    wrong += [
        f"{name}: is kept, and was expected not to be: {reason}"
        for name, reason in expected_failures.items()
        if name not in found.failed
    ]
    if wrong:
        raise AssertionError("\n".join([f"{found.use} does not keep its contract:", *wrong]))
    return found
