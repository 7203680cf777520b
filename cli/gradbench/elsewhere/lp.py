"""The log-density saved with draws against the model's: one constant apart, or another target."""

from dataclasses import dataclass

import numpy as np

from gradbench.draws import FloatArray, IntArray
from gradbench.elsewhere.chains import Chains
from gradbench.measure.known import LogDensities

N_COMPARED = 200  # draws, evenly picked, beside those where the saved one is smallest and largest
SLACK = 10.0  # times what the rounding of a draw's last digit does to it
FLOOR, RELATIVE = 1e-6, 1e-8  # and what two orders of the same sum may differ by
TELLING = 0.1  # of the log-density's own sd: a tolerance above that tells nothing


@dataclass(frozen=True, slots=True)
class Agreement:
    """What the comparison gave, in words, and whether the target is another one."""

    said: str
    is_other: bool = False


def picked(chains: Chains) -> tuple[IntArray, IntArray]:
    """Return the chains and the draws that are compared."""
    lp = np.asarray(chains.stats["lp"], dtype=np.float64)
    even = np.linspace(0, lp.size - 1, min(N_COMPARED, lp.size)).astype(np.int64)
    extreme = np.array([np.argmin(lp), np.argmax(lp)])
    chain, draw = np.unravel_index(np.unique(np.r_[even, extreme]), lp.shape)
    return np.asarray(chain), np.asarray(draw)


def compared(
    theirs: FloatArray, ours: LogDensities, at: tuple[IntArray, IntArray], digits: int
) -> Agreement:
    """Return whether log-densities that were saved, shape (n,), are a model's.

    Two densities of one distribution differ by one constant. Theirs may be of the constrained
    parameters, without the Jacobian, and may have the opposite sign, as a potential energy has.

    Args:
        theirs: at n draws.
        ours: at the same.
        at: their chains and draws.
        digits: significant ones that draws and log-densities were written with.
    """
    n = len(theirs)
    if not np.isfinite(theirs).all():
        return Agreement("not compared: those saved with the draws are not all finite")
    if (outside := ~np.isfinite(ours.unconstrained)).any():
        where = int(np.argmax(outside))
        return Agreement(
            f"another target: the model's is not finite at {_draw(at, where)}, where theirs is"
            f" {theirs[where]:.6g}",
            is_other=True,
        )
    allowed = _allowed(theirs, ours, digits)
    if not np.median(allowed) < TELLING * np.std(ours.unconstrained):
        return Agreement(f"not compared: numbers of {digits} digits are too coarse for it")
    variants = [
        (sign * theirs - values, said)
        for sign, opposite in ((1, ""), (-1, ", with the opposite sign"))
        for values, said in (
            (ours.unconstrained, opposite),
            (ours.constrained, f", of the parameters without the Jacobian{opposite}"),
        )
    ]
    for difference, said in variants:
        constant = float(np.median(difference))
        if (np.abs(difference - constant) <= allowed).all():
            return Agreement(
                f"the model's at {n} draws, but for a constant of {constant:.6g}{said}"
            )
    difference, _ = min(variants, key=lambda variant: float(np.std(variant[0])))
    low, high = int(np.argmin(difference)), int(np.argmax(difference))
    return Agreement(
        "another target: theirs less the model's is"
        f" {difference[low]:.6g} at {_draw(at, low)} and {difference[high]:.6g} at"
        f" {_draw(at, high)}, where a constant is allowed",
        is_other=True,
    )


def _allowed(theirs: FloatArray, ours: LogDensities, digits: int) -> FloatArray:
    """Return how far from one constant a difference may be by rounding, shape (n,)."""
    moved = np.abs(ours.moved - ours.unconstrained)
    known = moved[np.isfinite(moved)]
    usual = float(np.sqrt(np.mean(known**2))) if known.size else np.inf
    with np.errstate(divide="ignore"):
        unit = 10.0 ** (np.floor(np.log10(np.abs(theirs))) - digits + 1)
    by_draws = SLACK * np.fmax(moved, usual)
    return np.asarray(by_draws + unit + FLOOR + RELATIVE * np.abs(ours.unconstrained))


def _draw(at: tuple[IntArray, IntArray], i: int) -> str:
    chain, draw = at
    return f"draw {draw[i] + 1} of chain {chain[i] + 1}"
