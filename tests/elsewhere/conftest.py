"""Chains with known names, written in every format that is read."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gradbench.draws import FloatArray

NAMES = ("mu", "theta[0]", "theta[1]")
Written = Callable[..., Path]

SETTINGS = """\
# stan_version_major = 2
# stan_version_minor = 35
# stan_version_patch = 0
# model = schools_model
# method = sample (Default)
#   sample
#     num_samples = {n} (Default)
#     num_warmup = {n_warmup}
#     save_warmup = {save_warmup} (Default)
#     thin = {thin} (Default)
#     adapt
#       engaged = true (Default)
#     algorithm = hmc (Default)
#       hmc
#         engine = nuts (Default)
#           nuts
#             max_depth = 10 (Default)
# id = 1 (Default)
"""
ADAPTED = """\
# Adaptation terminated
# Step size = 0.809
# Diagonal elements of inverse mass matrix:
# 0.9, 1.1, 1.0
"""
ELAPSED = """\
#
#  Elapsed Time: 0.25 seconds (Warm-up)
#                0.75 seconds (Sampling)
#                1 seconds (Total)
#
"""
STATS = "lp__,accept_stat__,stepsize__,treedepth__,n_leapfrog__,divergent__,energy__"


@pytest.fixture
def draws() -> FloatArray:
    """Four clean chains of 500 draws of three parameters."""
    return np.random.default_rng(1).standard_normal((4, 500, 3))


@pytest.fixture
def cmdstan(tmp_path: Path) -> Callable[..., list[Path]]:
    """Write chains (chains, draws, n) as CmdStan does, a file each."""

    def write(
        draws: FloatArray,
        columns: str = "mu,theta.1,theta.2",
        *,
        lp: FloatArray | None = None,
        n_warmup: int = 0,
        save_warmup: str = "0",
        digits: int = 6,
        **settings: Any,
    ) -> list[Path]:
        paths = []
        for number, chain in enumerate(draws, 1):
            n = len(chain) - n_warmup
            told = {"n": n, "n_warmup": n_warmup or 1000, "save_warmup": save_warmup, "thin": 1}
            own = np.zeros(len(chain)) if lp is None else lp[number - 1]
            rows = [
                f"{value:.{digits}g},0.9,0.8,2,3,0,1.5,"
                + ",".join(f"{x:.{digits}g}" for x in row) + "\n"
                for value, row in zip(own, chain, strict=True)
            ]  # fmt: skip
            text = SETTINGS.format(**{**told, **settings}) + f"{STATS},{columns}\n"
            text += "".join(rows[:n_warmup]) + ADAPTED + "".join(rows[n_warmup:]) + ELAPSED
            path = tmp_path / f"output_{number}.csv"
            path.write_text(text)
            paths.append(path)
        return paths

    return write
