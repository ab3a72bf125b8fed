"""Which parameters are worth a column, and what they are called."""

from framework.report.run_table import distinguishing_parameters, short_names

RUNS = ["a", "b", "c", "d"]


def columns(**values: list[str]) -> dict[str, dict[str, str]]:
    return {name.replace("__", "."): dict(zip(RUNS, found, strict=True)) for name, found in values.items()}


def test_what_follows_from_a_groups_name_has_no_column() -> None:
    values = columns(
        model__name=["x", "x", "y", "z"], model__layers=["8", "8", "9", "9"], batch=["1", "2", "1", "2"]
    )
    assert distinguishing_parameters(values, RUNS) == ("model.name", "batch")


def test_what_varies_beside_a_groups_name_keeps_its_column() -> None:
    values = columns(model__name=["x", "x", "y", "y"], model__dtype=["f16", "f8", "f16", "f8"])
    assert distinguishing_parameters(values, RUNS) == ("model.name", "model.dtype")


def test_of_parameters_that_vary_together_the_plainest_name_is_kept() -> None:
    values = columns(backend__engine__slots=["1", "2", "1", "2"], workload__n=["5", "6", "5", "6"])
    assert distinguishing_parameters(values, RUNS) == ("workload.n",)


def test_a_parameter_that_only_some_runs_have_tells_them_apart() -> None:
    assert distinguishing_parameters({"backend.replicas": {"a": "2", "b": "2"}}, RUNS) == (
        "backend.replicas",
    )


def test_what_is_the_same_everywhere_has_no_column() -> None:
    assert distinguishing_parameters(columns(block=["16"] * 4), RUNS) == ()


def test_names_are_as_short_as_they_can_be_without_confusion() -> None:
    assert short_names(["model.name", "backend.max_num_seqs", "workload.rate", "backend.rate"]) == {
        "model.name": "model",
        "backend.max_num_seqs": "max_num_seqs",
        "workload.rate": "workload.rate",
        "backend.rate": "backend.rate",
    }
