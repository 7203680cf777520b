"""pyhf's counting experiment of one bin: the log-density at the start, and the best fit."""

from gradbench.studies import Finding, verdict
from gradbench.studies._figures import is_printed

CLAIM = "pyhf's model of one bin: its log-density at the suggested start, and its best fit."
PRINTED = "-4.25748227; [1, 1]"
SOURCE = "PyHEP tutorial"
LIBRARIES = ("pyhf",)
EXTRA = "gradients"

SIGNAL, BACKGROUND, UNCERTAINTY, OBSERVED = 5.0, 10.0, 3.5, 15.0
NEAR = 1e-3  # what the optimizer's own tolerance leaves


def measure() -> tuple[Finding, ...]:
    """Return pyhf's log-density at the suggested start, and what its fit finds."""
    import pyhf

    # The text's hepdata_like by its new name; unvalidated, for that calls what is deprecated.
    model = pyhf.simplemodels.uncorrelated_background(
        [SIGNAL], [BACKGROUND], [UNCERTAINTY], validate=False
    )
    data = [OBSERVED, *model.config.auxdata]
    (logpdf,) = model.logpdf(model.config.suggested_init(), data)
    fit = [float(x) for x in pyhf.infer.mle.fit(data, model)]
    return (
        Finding(
            what="log-density at the suggested start",
            printed="-4.25748227",
            ours=f"{float(logpdf):.10g}",
            verdict=verdict(holds=is_printed(logpdf, "-4.25748227")),
        ),
        Finding(
            what="best fit",
            printed="[1, 1]",
            ours="[" + ", ".join(f"{x:.6g}" for x in fit) + "]",
            verdict=verdict(holds=max(abs(x - 1) for x in fit) <= NEAR),
        ),
    )
