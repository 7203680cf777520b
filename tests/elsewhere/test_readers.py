"""Every format gives the same chains, and what can't be judged is told in one message."""

import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gradbench import compat
from gradbench.draws import FloatArray
from gradbench.elsewhere import counts, readers
from gradbench.elsewhere.chains import Content, joined
from gradbench.errors import ChainsError

CmdStan = Callable[..., list[Path]]
LONG = "a,.chain,.iteration,.draw\n"


def inference_data(draws: FloatArray, **groups: Any) -> Any:
    """Return what the installed ArviZ makes of mu and theta."""
    given = {"posterior": {"mu": draws[..., 0], "theta": draws[..., 1:]}, **groups}
    arviz = compat.arviz()
    return arviz.from_dict(given) if arviz.__version__[0] > "0" else arviz.from_dict(**given)


def table(draws: FloatArray, header: str = ".chain,.iteration,.draw,mu,theta[1],theta[2]") -> str:
    lines = [header]
    for c, chain in enumerate(draws, 1):
        for i, row in enumerate(chain, 1):
            lines.append(f"{c},{i},{i + (c - 1) * len(chain)}," + ",".join(map(repr, row.tolist())))
    return "\n".join(lines) + "\n"


def values(contents: list[Content]) -> FloatArray:
    return joined(contents, are_walkers=False)[0].values


@pytest.mark.parametrize("suffix", ["nc", "zarr"])
def test_arviz_of_the_installed_version_is_read(
    draws: FloatArray, tmp_path: Path, suffix: str
) -> None:
    """What ArviZ 0.x or 1.x writes gives the draws back, with names and statistics."""
    data = inference_data(draws, sample_stats={"lp": draws[..., 0], "n_steps": draws[..., 1] > 0})
    path = tmp_path / f"chains.{suffix}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of zarr 3, that its consolidated metadata may change
        if suffix == "nc":
            data.to_netcdf(str(path))
        else:  # ArviZ 0.x writes no zarr of version 3 itself
            (data.to_datatree() if hasattr(data, "to_datatree") else data).to_zarr(str(path))
    (content,) = readers.read([path])
    assert content.names == ("mu", "theta[0]", "theta[1]")
    np.testing.assert_array_equal(values([content]), draws)
    np.testing.assert_array_equal(content.chains[2].stats["lp"], draws[2, :, 0])


def test_dimensions_in_another_order_are_put_right(draws: FloatArray, tmp_path: Path) -> None:
    """A dataset of its own, without groups, whose first dimension is the draw."""
    import xarray

    path = tmp_path / "plain.nc"
    xarray.Dataset({"mu": (("draw", "chain"), draws[..., 0].T)}).to_netcdf(path, engine="h5netcdf")
    np.testing.assert_array_equal(values(readers.read([path]))[..., 0], draws[..., 0])


def test_cmdstan_files_are_chains(draws: FloatArray, cmdstan: CmdStan) -> None:
    """Comments in the middle are none of the draws; seconds and statistics come from the files."""
    contents = readers.read(cmdstan(draws))
    np.testing.assert_allclose(values(contents), draws, rtol=1e-5)
    first = contents[0]
    assert first.names == ("mu", "theta.1", "theta.2")
    assert first.library == "Stan 2.35.0"
    assert first.index_from == 1
    assert first.digits == 6
    assert first.spent is not None
    assert (first.spent.warmup_s, first.spent.sampling_s) == (0.25, 0.75)
    assert first.chains[0].stats["n_steps"].sum() == 1500
    assert not first.notices


@pytest.mark.parametrize("word", ["1", "true"])
def test_saved_warmup_is_no_draw(draws: FloatArray, cmdstan: CmdStan, word: str) -> None:
    """Rows of warm-up are taken off, and their evaluations counted."""
    contents = readers.read(cmdstan(draws, n_warmup=100, save_warmup=word))
    np.testing.assert_allclose(values(contents), draws[:, 100:], rtol=1e-5)
    counted = counts.found(contents)
    assert counted.of == "all"
    assert counted.evaluations.n_grad_warmup == 4 * 100 * (3 + 1)
    assert counted.evaluations.n_grad_sampling == 4 * 400 * (3 + 1)


@pytest.mark.parametrize("word", ["0", "false"])
def test_without_saved_warmup_its_evaluations_are_unknown(
    draws: FloatArray, cmdstan: CmdStan, word: str
) -> None:
    """Those of sampling alone are no price."""
    counted = counts.found(readers.read(cmdstan(draws, save_warmup=word)))
    assert counted.of == "sampling"
    assert "not in the file" in str(counted.source)


def test_thinned_counts_are_not_trusted(draws: FloatArray, cmdstan: CmdStan) -> None:
    """The steps of what was thinned away are in no file."""
    contents = readers.read(cmdstan(draws, thin=5))
    assert contents[0].thin == 5
    assert counts.found(contents).of == "nothing"


def test_a_chain_that_stopped_early_is_told(draws: FloatArray, cmdstan: CmdStan) -> None:
    """Fewer rows than were asked for."""
    (path, *_) = cmdstan(draws, n=1000)
    (content,) = readers.read([path])
    assert content.notices == ("output_1.csv ends after 500 of 1000 draws",)


def test_long_csv_of_r_and_julia_is_read(draws: FloatArray, tmp_path: Path) -> None:
    """Posterior's columns, MCMCChains' columns, and R's row names give the same draws."""
    posterior, chains, rows = (tmp_path / name for name in ("r.csv", "julia.csv", "rows.csv"))
    posterior.write_text(table(draws))
    chains.write_text(table(draws, "chain,iteration,lp,mu,theta[1],theta[2]"))
    lines = table(draws).splitlines()
    rows.write_text("\n".join(['"",' + lines[0], *(f'"{i}",{x}' for i, x in enumerate(lines[1:]))]))
    for path in (posterior, chains, rows):
        (content,) = readers.read([path])
        assert content.names == ("mu", "theta[1]", "theta[2]"), path
        np.testing.assert_array_equal(values([content]), draws)


def test_iterations_with_steps_between_them_are_thinned(tmp_path: Path) -> None:
    """Iterations 10, 20, 30 of a chain say that nine of ten steps were dropped."""
    path = tmp_path / "thin.csv"
    path.write_text(LONG + "".join(f"{i * 0.1},1,{10 * i},{i}\n" for i in range(1, 9)))
    assert readers.read([path])[0].thin == 10


def test_parquet_is_read(draws: FloatArray, tmp_path: Path) -> None:
    """The same columns as in a CSV."""
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    n_chains, n_draws, _ = draws.shape
    columns = {
        ".chain": np.repeat(np.arange(n_chains), n_draws),
        ".iteration": np.tile(np.arange(n_draws), n_chains),
        **{name: draws[..., i].ravel() for i, name in enumerate("abc")},
    }
    path = tmp_path / "chains.parquet"
    parquet.write_table(pa.table(columns), path)
    (content,) = readers.read([path])
    assert content.names == ("a", "b", "c")
    np.testing.assert_array_equal(values([content]), draws)


def test_numpy_arrays_are_read(draws: FloatArray, tmp_path: Path) -> None:
    """One array, an array with names, and an array for each parameter."""
    np.save(tmp_path / "one.npy", draws)
    np.savez(tmp_path / "named.npz", draws=draws, names=np.array(["a", "b", "c"]))
    np.savez(tmp_path / "each.npz", mu=draws[..., 0], theta=draws[..., 1:], lp=draws[..., 0])
    found = readers.read([tmp_path / name for name in ("one.npy", "named.npz", "each.npz")])
    assert [content.names for content in found] == [
        ("x[0]", "x[1]", "x[2]"), ("a", "b", "c"), ("mu", "theta[0]", "theta[1]"),
    ]  # fmt: skip
    for content in found:
        np.testing.assert_array_equal(values([content]), draws)
    assert set(found[2].chains[0].stats) == {"lp"}


def test_emcee_backend_holds_walkers(tmp_path: Path) -> None:
    """Its steps, walkers and log-probabilities, and a count of all evaluations."""
    import emcee

    path = tmp_path / "run.h5"
    backend = emcee.backends.HDFBackend(path)
    sampler = emcee.EnsembleSampler(8, 2, lambda x: -0.5 * float(x @ x), backend=backend)
    sampler.run_mcmc(np.random.default_rng(0).standard_normal((8, 2)), 30)
    (content,) = readers.read([path])
    assert content.is_ensemble
    np.testing.assert_array_equal(values([content]), np.swapaxes(sampler.get_chain(), 0, 1))
    counted = counts.found([content])
    assert counted.evaluations.n_logp == 8 * 31
    assert counted.of == "all"


def test_statistics_of_an_unknown_library_are_not_trusted(
    draws: FloatArray, tmp_path: Path
) -> None:
    """n_steps means different things."""
    data = inference_data(draws, sample_stats={"n_steps": np.ones((4, 500))})
    data.to_netcdf(str(tmp_path / "chains.nc"))
    counted = counts.found(readers.read([tmp_path / "chains.nc"]))
    assert counted.of == "nothing"
    assert "not trusted" in str(counted.source)


def test_every_reader_says_what_it_reads() -> None:
    """Each has one line, and is listed where a file's format isn't known."""
    assert len(readers.names()) == 7
    assert all(readers.load(name).SUMMARY for name in readers.names())


def write_pickled(path: Path) -> None:
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)


def write_netcdf(path: Path, array: Any) -> None:
    import xarray

    data = xarray.Dataset({"a": (("chain", "draw"), array)})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that other programs may not read complex numbers
        data.to_netcdf(path, engine="h5netcdf", invalid_netcdf=True)


BAD: dict[str, tuple[str, str | bytes | Callable[[Path], None], str]] = {
    "empty": ("a.csv", "", "is empty"),
    "no draws": ("a.csv", LONG, "no draws"),
    "one draw": ("a.csv", LONG + "1,1,1,1\n", "a chain of 1 draw can't be judged"),
    "text": ("a.csv", LONG + "low,1,1,1\n", "a.csv:2: a: 'low' is no number"),
    "complex": ("a.csv", LONG + "1+2im,1,1,1\n", "is a complex number"),
    "truncated": ("a.csv", LONG + "1,1,1,1\n2,1", "a.csv:3: 2 fields where the header has 4"),
    "column twice": ("a.csv", "a,a\n" + "1,2\n" * 5, "column 'a' appears twice"),
    "no header": ("a.csv", "1,2\n" * 5, "its first line must name the columns"),
    "iteration twice": ("a.csv", "a,chain,draw\n" + "1,1,1\n" * 5, "has draw 1 twice"),
    "R": ("fit.rds", b"\x1f\x8b", "posterior::as_draws_df(readRDS"),
    "Julia": ("fit.jls", b"7JL", "DataFrame(deserialize"),
    "pickle": ("fit.pkl", b"\x80\x04.", "can run any code"),
    "hidden pickle": ("fit.dat", b"\x80\x04.", "can run any code"),
    "objects": ("a.npy", write_pickled, "holds Python objects"),
    "complex array": ("a.npy", lambda p: np.save(p, np.full((2, 9, 1), 1j)), "complex numbers"),
    "array of text": ("a.npy", lambda p: np.save(p, np.full((2, 9, 1), "a")), "holds text"),
    "flat array": ("a.npy", lambda p: np.save(p, np.zeros((9, 2))), "it must be (chains, draws,"),
    "broken array": ("a.npy", b"\x93NUMPY\x01\x00", "can't be read as NumPy's"),
    "broken archive": ("a.npz", b"PK\x03\x04", "can't be read as NumPy's"),
    "broken netCDF": ("a.nc", b"\x89HDF\r\n\x1a\n" + bytes(64), "cut short, or damaged"),
    "complex netCDF": ("a.nc", lambda p: write_netcdf(p, np.zeros((2, 9), complex)), "complex"),
    "text in netCDF": ("a.nc", lambda p: write_netcdf(p, np.full((2, 9), "a")), "holds text"),
    "broken Parquet": ("a.parquet", b"PAR1", "can't be read as Parquet"),
    "unknown": ("a.bin", b"\x00\x01", "is in no format that is read here"),
    "no MCMC": ("a.csv", "# stan_version_major = 2\n# method = optimize\n", "method = optimize"),
}  # fmt: skip


@pytest.mark.parametrize(("name", "written", "message"), BAD.values(), ids=[*BAD])
def test_what_cant_be_judged_is_told(
    tmp_path: Path, name: str, written: str | bytes | Callable[[Path], None], message: str
) -> None:
    """One message that names the file."""
    path = tmp_path / name
    if callable(written):
        written(path)
    else:
        path.write_bytes(written.encode() if isinstance(written, str) else written)
    with pytest.raises(ChainsError, match=re.escape(message)) as caught:
        readers.read([path])
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_missing_or_given_twice_is_told(tmp_path: Path) -> None:
    """As any other mistake on the command line."""
    path = tmp_path / "a.csv"
    with pytest.raises(ChainsError, match="no such file"):
        readers.read([path])
    path.write_text("a\n" + "1\n" * 5)
    with pytest.raises(ChainsError, match="given twice"):
        readers.read([path, path])


def test_truncated_netcdf_is_told(draws: FloatArray, tmp_path: Path) -> None:
    """A copy that was cut off in the middle."""
    path = tmp_path / "a.nc"
    inference_data(draws).to_netcdf(str(path))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ChainsError, match="cut short, or damaged"):
        readers.read([path])


def test_truncated_cmdstan_is_told(draws: FloatArray, cmdstan: CmdStan) -> None:
    """The line that was being written when the disk was full."""
    (path, *_) = cmdstan(draws)
    text = path.read_text()
    path.write_text(text[: len(text) // 2].rpartition(",")[0])
    with pytest.raises(ChainsError, match=r"output_1.csv:\d+: \d+ fields where the header has 10"):
        readers.read([path])


def test_files_of_different_parameters_are_told(tmp_path: Path) -> None:
    """Chains of one set have the same parameters."""
    for name in "ab":
        (tmp_path / f"{name}.csv").write_text(f"mu,{name}\n" + "1,2\n" * 5)
    with pytest.raises(ChainsError, match=r"its parameters are not those of .*: a, b"):
        values(readers.read([tmp_path / "a.csv", tmp_path / "b.csv"]))
