"""Formats that run code when they are read, or need their own language: refused, with a way out."""

from pathlib import Path

from gradbench.errors import ChainsError

R_FILES = (".rds", ".rda", ".rdata")
PICKLES = (".pkl", ".pickle", ".p", ".joblib", ".dill", ".pt", ".cloudpickle")
JULIA_FILES = (".jls", ".jld", ".jld2", ".bson")
PICKLE_MAGIC = b"\x80"  # PROTO, with which every pickle since protocol 2 begins
JULIA_MAGIC = b"7JL"


def refuse(path: Path, head: bytes) -> None:
    """Raise ``ChainsError`` where a file is of a kind that is not read, with what converts it."""
    suffix = path.suffix.lower()
    if suffix in R_FILES:
        raise ChainsError(
            f"{path}: is R's own format; write it as CSV: Rscript -e"
            f' \'write.csv(posterior::as_draws_df(readRDS("{path.name}")), "chains.csv",'
            " row.names = FALSE)'"
        )
    if suffix in JULIA_FILES or head.startswith(JULIA_MAGIC):
        raise ChainsError(
            f"{path}: is Julia's own format; write it as CSV: julia -e 'using Serialization,"
            f' MCMCChains, DataFrames, CSV; CSV.write("chains.csv",'
            f' DataFrame(deserialize("{path.name}")))\''
        )
    if suffix in PICKLES or (head.startswith(PICKLE_MAGIC) and head[1:2] <= b"\x05"):
        raise ChainsError(
            f"{path}: is a pickle, which can run any code when it is read; if you trust it, convert"
            " it yourself: python -c 'import arviz, pickle; arviz.convert_to_inference_data("
            f'pickle.load(open("{path.name}", "rb"))).to_netcdf("chains.nc")\''
        )
