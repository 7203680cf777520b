"""How a run is cut into blocks, and what of a machine each of them has."""

import marshal
import os
import threading
from pathlib import Path

import pytest

from gradbench import models, samplers
from gradbench.cluster import carried, cores, versions
from gradbench.cluster.block import Order
from gradbench.cluster.blocks import Queue, Spent
from gradbench.cluster.versions import Asked
from gradbench.config import planning
from gradbench.config.benchmark import Benchmark
from gradbench.config.planning import Cell
from gradbench.errors import ModelError, SamplerError


def cells(n_models: int, n_replicates: int) -> list[Cell]:
    """Return the cells of two samplers on these models."""
    entry = {"use": "gaussian"}
    return planning.cells(
        Benchmark.model_validate(
            {
                "name": "cut",
                "models": {f"m{i}": entry for i in range(n_models)},
                "samplers": {"nuts": {"use": "pymc_nuts"}, "emcee": {"use": "emcee"}},
                "replicates": n_replicates,
            }
        )
    )


def sizes(queue: Queue, n_slots: int) -> list[int]:
    """Return how many replicates each block has that is left."""
    found = []
    while not queue.is_empty:
        found.append(len({cell.replicate for cell in queue.take(n_slots)}))
    return found


def test_a_block_is_one_model_with_all_its_samplers() -> None:
    """Each cell is in one block, and a replicate of all samplers is never cut in two."""
    queue, seen = Queue(every := cells(3, 7)), []
    while not queue.is_empty:
        block = queue.take(4)
        assert len({cell.model for cell in block}) == 1
        assert len(block) == 2 * len({cell.replicate for cell in block})
        seen += block
    assert {cell.place for cell in seen} == {cell.place for cell in every}
    assert len(seen) == len(every)


def test_many_models_are_a_block_each() -> None:
    """Where there are more models than slots need, each compiles once."""
    assert sizes(Queue(cells(8, 10)), 2) == [10] * 8


def test_few_models_are_cut_for_all_slots() -> None:
    """One model of many replicates keeps all slots busy."""
    queue = Queue(cells(1, 40))
    first = [len({cell.replicate for cell in queue.take(5)}) for _ in range(5)]
    assert first == [4] * 5


def test_compiling_takes_a_fifth_at_most() -> None:
    """Once a block of a model told, the next ones are as large as that asks, and the last."""
    queue = Queue(cells(1, 40))
    assert len({cell.replicate for cell in queue.take(5)}) == 4
    queue.learn("m0", Spent(compile_s=8.0, cells_s=8.0, n_replicates=4))  # 2 s each
    assert Spent(8.0, 8.0, 4).fewest == 16
    assert sizes(queue, 5) == [16, 20]


def test_what_compiles_and_never_runs_has_no_size() -> None:
    """A block whose cells all failed before they ran says nothing of how many are worth it."""
    assert Spent(8.0, 0.0, 4).fewest == 1
    assert Spent(8.0, 0.1, 0).fewest == 0  # all had been sent before its worker was lost


def test_the_user_sets_the_size() -> None:
    """A size that is given holds whatever compiling takes."""
    queue = Queue(cells(1, 7), replicates=3)
    queue.learn("m0", Spent(100.0, 1.0, 1))
    assert sizes(queue, 4) == [3, 3, 1]


def test_each_block_has_cores_of_its_own(tmp_path: Path) -> None:
    """Two blocks at a time have no core in common, and count each other; afterwards all is free."""
    before = os.sched_getaffinity(0)
    with cores.taken(1, tmp_path) as one:
        assert one.n_busy() == 1
        assert os.sched_getaffinity(0) == set(one.cores)
        found = []

        def other() -> None:
            os.sched_setaffinity(0, before)  # a thread has that of the one that started it
            with cores.taken(1, tmp_path) as two:
                found.append((two.cores, two.n_busy(), one.n_busy()))

        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        ((theirs, *busy),) = found
        assert busy == [2, 2]
        assert not set(theirs) & set(one.cores)
    assert os.sched_getaffinity(0) == before


def test_a_block_without_a_core_is_counted(tmp_path: Path) -> None:
    """Where there are more blocks than cores, the last ones may run anywhere; all count them."""
    n = len(os.sched_getaffinity(0))
    with cores.taken(n, tmp_path) as all_of_them, cores.taken(1, tmp_path) as none_left:
        assert none_left.cores == ()
        assert all_of_them.n_busy() == n + 1


def test_cores_that_nobody_can_lock_are_not_counted(tmp_path: Path) -> None:
    """Where no lock can be made a block runs anywhere, and says that it can't count."""
    (tmp_path / "file").write_text("")
    with cores.taken(1, tmp_path / "file" / "cores") as taken:
        assert taken.cores == ()
        assert taken.n_busy() is None


def own_cell(folder: Path) -> Cell:
    """Return a cell of a model and a sampler of files."""
    (folder / "mine.py").write_text(
        "import gradbench as gb\n\n"
        "def model():\n    return gb.LogDensity(lambda x: -(x**2).sum() / 2, ndim=2)\n"
    )
    (folder / "references").mkdir()
    (folder / "references" / "mine.json").write_text("[]")
    (folder / "walk.py").write_text(
        "def sample(density, start, options, rng, clock):\n    return start\n"
    )
    benchmark = Benchmark.model_validate(
        {
            "name": "own",
            "models": {"mine": {"use": str(folder / "mine.py")}},
            "samplers": {"walk": {"use": str(folder / "walk.py")}},
            "replicates": 1,
        }
    )
    (cell,) = planning.cells(benchmark)
    return cell


def test_files_are_used_where_they_are_the_same(tmp_path: Path) -> None:
    """On a file system that machines share nothing moves: what lies beside a file can be read."""
    cell = own_cell(tmp_path)
    assert carried.placed([cell], tmp_path / "private") == [cell]


def test_files_travel_by_content(tmp_path: Path) -> None:
    """Where they aren't there, or are others, both are loaded from a private folder."""
    home, private = tmp_path / "home", tmp_path / "private"
    home.mkdir()
    cell = own_cell(home)
    files = carried.packed([cell])
    assert {Path(name).name for name in files} == {"mine.py", "mine.json", "walk.py"}
    for path in home.rglob("*.py"):
        path.write_text("raise RuntimeError")
    carried.unpacked(files, private)
    (here,) = carried.placed([cell], private)
    assert here.source is not None
    assert here.sampler_source is not None
    assert models.load(here.source, {}).function is not None
    loaded = samplers.load(here.sampler_use, here.sampler_source.digest)
    assert loaded.use == str(private / (home / "walk.py").relative_to("/"))


def test_what_changed_on_the_way_is_refused(tmp_path: Path) -> None:
    """A file that arrives with another content is not run."""
    home, private = tmp_path / "home", tmp_path / "private"
    home.mkdir()
    cell = own_cell(home)
    files = {name: content + b"\n" for name, content in carried.packed([cell]).items()}
    (home / "mine.py").unlink()
    (home / "walk.py").unlink()
    carried.unpacked(files, private)
    (here,) = carried.placed([cell], private)
    assert here.source is not None
    assert here.sampler_source is not None
    with pytest.raises(ModelError, match="has changed"):
        models.load(here.source, {})
    with pytest.raises(SamplerError, match="has changed"):
        samplers.load(here.sampler_use, here.sampler_source.digest)


def test_a_file_that_is_gone_is_told(tmp_path: Path) -> None:
    """A sampler's file that went away since the plan is an error with its name."""
    cell = own_cell(tmp_path)
    (tmp_path / "walk.py").unlink()
    with pytest.raises(ModelError, match=r"walk\.py: can't be read"):
        carried.packed([cell])


def test_the_same_versions_are_no_difference() -> None:
    """A worker with what is here lacks nothing, and has nothing in another version."""
    found = versions.answer(Asked(versions.here(), (samplers.find("emcee", Path()),)))
    assert (found.lacking, found.other) == ("", "")


def test_other_versions_are_named() -> None:
    """Each package in another version is named with both; what one side lacks alone is not."""
    asked = {**versions.here(), "pymc": "4.0.0", "Python": "3.7", "somewhere-only": "1"}
    found = versions.answer(Asked(asked, ()))
    assert found.lacking == ""
    here = versions.here()
    assert found.other == f"Python {here['Python']}, not 3.7; pymc {here['pymc']}, not 4.0.0"


def test_what_a_sampler_needs_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sampler whose library isn't installed, or whose package isn't, is named."""
    monkeypatch.setattr(samplers, "remedy", lambda use: f"pip install {use}")
    sources = (
        samplers.find("emcee", Path()),
        samplers.Source("walkers:one", distribution="no-such-package", version="1"),
    )
    found = versions.answer(Asked(versions.here(), sources))
    assert found.lacking == (
        "emcee is not installed: pip install emcee; no-such-package is not installed"
    )


def test_an_order_is_read_by_any_python(tmp_path: Path) -> None:
    """What a worker is told of a block has no class in it, and is read as it was."""
    cell = own_cell(tmp_path)
    use, samplers_entry = {"use": str(tmp_path / "mine.py")}, {"use": str(tmp_path / "walk.py")}
    benchmark = Benchmark.model_validate(
        {
            "name": "own",
            "models": {"mine": use},
            "samplers": {"walk": samplers_entry},
            "limits": {"timeout": "90s", "memory": "1GiB"},
        }
    )
    assert cell.sampler_source is not None
    order = Order(
        id="one", cells=[cell], benchmark=benchmark, files=carried.packed([cell]),
        asked=Asked({"pymc": "6.0.0"}, [cell.sampler_source]), is_mixed=False, saves_draws=True,
        n_slots={"127.0.0.1": 2},
    )  # fmt: skip
    plain = order.to_plain()
    assert Order.from_plain(plain) == order
    assert marshal.loads(marshal.dumps(plain)) == plain  # which takes nothing but plain types
