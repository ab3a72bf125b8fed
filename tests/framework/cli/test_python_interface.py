"""`import framework`: studies and the store from Python and in a notebook."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pytest

import framework
from framework.cli.python_interface import Study
from framework.errors import ConfigError, RunFailedError, StoreError

SUPPORT = Path(__file__).parents[2] / "support"


@pytest.fixture
def _folder(toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("_folder")
class TestStudies:
    @pytest.mark.slow
    def test_a_single_run_a_sweep_and_their_results(self) -> None:
        single = framework.run("+experiment=toy_single", "progress=false")
        assert (single.experiment, len(single), single.sweep_id) == ("toy_single", 1, None)
        sweep = framework.run("+experiment=toy_single", "progress=false", "backend.speed=1,2", "-m")
        assert len(sweep) == 2
        assert sweep.sweep_id is not None
        assert sorted(sweep.results()["numbers_s"].to_pylist()) == [1.0, 2.0]
        again = framework.run("+experiment=toy_single", "progress=false", "backend.speed=1,2", "-m")
        assert again.skipped == sweep.run_ids == again.run_ids

    @pytest.mark.slow
    def test_a_run_that_fails_raises_or_is_reported(self) -> None:
        arguments = (
            "+experiment=toy_single",
            "progress=false",
            "backend.speed=1,2",
            "backend.fail=run",
            "-m",
        )
        with pytest.raises(RunFailedError, match="2 of 2 runs failed"):
            framework.run(*arguments)
        study = framework.run(*arguments, check=False)
        assert list(study.failed.values()) == ["engine died"] * 2
        assert study.results().num_rows == 0
        one = framework.run("+experiment=toy_single", "backend.fail=run", "progress=false", check=False)
        assert list(one.failed.values()) == ["engine died"]

    def test_a_configuration_that_is_refused_starts_nothing(self) -> None:
        with pytest.raises(ConfigError, match=r"backend\.sped"):
            framework.run("+experiment=toy_single", "backend.sped=2")
        with pytest.raises(ConfigError, match="override 3: a text such as 'key=value'"):
            framework.run("+experiment=toy_single", 3)  # type: ignore[arg-type]
        with pytest.raises(StoreError, match="no runs yet"):
            framework.open("outputs")

    @pytest.mark.slow
    def test_tables_come_as_arrow_pandas_and_polars(self) -> None:
        study = framework.run("+experiment=toy_single", "progress=false", "+metrics=toy")
        store = framework.open("outputs")
        (run_id,) = study.run_ids
        assert isinstance(store.results(), pa.Table)
        assert store.results(as_="pandas")["numbers_s"].tolist() == [1.0]
        assert store.samples(run_id, "toy_power_w")["value"].to_pylist() == [299.0, 301.0]
        with pytest.raises(StoreError, match="no run 'nope' in outputs"):
            store.samples("nope")
        with pytest.raises(StoreError, match=r"no samples 'toy_powr_w' \(did you mean 'toy_power_w'\?\)"):
            store.samples(run_id, "toy_powr_w", as_="pandas")
        assert store.runs("status = 'done'").num_rows == 1
        assert store.advice().num_rows == 0
        assert store.table("sums", columns=["value"]).column_names == ["value"]
        polars = pytest.importorskip("polars")
        frame = store.results(as_="polars")
        assert isinstance(frame, polars.DataFrame)
        assert frame["numbers_s"].to_list() == [1.0]
        with pytest.raises(StoreError, match="no stored run has a table 'requests'"):
            store.requests(run_id)
        with pytest.raises(ConfigError, match="unknown kind of table"):
            store.results(as_="numpy")  # type: ignore[call-overload]

    def test_a_folder_that_can_only_be_read_is_read_as_it_is(self, monkeypatch: pytest.MonkeyPatch) -> None:
        framework.run("+experiment=toy_single", "progress=false")

        def refused(outputs: object) -> None:
            raise StoreError("can't write")

        monkeypatch.setattr("framework.store.database.ingest.ingest", refused)
        assert framework.open("outputs").runs().num_rows == 1

    @pytest.mark.slow
    def test_your_own_folder_of_options_holds_for_the_call_alone(self, tmp_path: Path) -> None:
        for size, folder in ((2, "mine"), (3, "yours")):
            (tmp_path / folder / "workload").mkdir(parents=True)
            own = f"_target_: toy_study.components.ToyWorkload\nname: own\nsize: {size}\n"
            (tmp_path / folder / "workload" / "own.yaml").write_text(own)
            study = framework.run(
                f"--config-dir={folder}", "+experiment=toy_single", "workload=own", "progress=false"
            )
            assert len(study) == 1
            (run_id,) = study.run_ids
            found = study.store.query(
                "SELECT value FROM params WHERE run_id = ? AND name = 'workload.size'", [run_id]
            )
            assert found["value"].to_pylist() == [str(size)]
        assert "FRAMEWORK_CONFIG_DIR" not in os.environ


NOTEBOOK = [
    "import framework",
    "study = framework.run('+experiment=toy_grid')",
    "assert isinstance(len(study), int) and len(study) == 3, study",
    "frame = framework.open('outputs').results(as_='pandas'); print(sorted(frame['numbers_s']))",
    "try:\n    framework.run('+experiment=toy_single', 'backend.fail=run')\nexcept Exception as error:\n"
    "    print(type(error).__name__, error)",
]


@pytest.mark.slow
def test_a_study_runs_and_is_read_in_a_jupyter_kernel(
    toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(toy), str(SUPPORT)]))
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in NOTEBOOK])
    client = nbclient.NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}})
    client.execute()
    printed = [
        "".join(output.text for output in cell.outputs if output.get("name") == "stdout")
        for cell in notebook.cells
    ]
    streams = [output.text for cell in notebook.cells for output in cell.outputs if "text" in output]
    assert streams
    assert not any("\x1b" in text for text in streams)  # a notebook can't move the cursor of a progress bar
    assert "3 run, 0 skipped as done" in printed[1]
    assert printed[3] == "[1.0, 2.0, 2.0]\n"
    assert printed[4].startswith("RunFailedError run ")
    assert printed[4].endswith("failed in backend: engine died\n")


def test_the_interface_is_typed() -> None:
    import inspect

    for function in (framework.open, framework.run, Study.results):
        signature = inspect.signature(function)
        assert all(p.annotation is not p.empty for n, p in signature.parameters.items() if n != "self")
        assert signature.return_annotation is not signature.empty
