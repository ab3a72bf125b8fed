"""Comparison of two groups of runs: matching, noise, verdicts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework.analysis.comparison import ComparedRun, Comparison, compare_groups, summarise_comparison
from framework.contracts import MetricDefinition

DEFINITIONS = {
    "total_tok_s": MetricDefinition("total_tok_s", "tok/s", "", "higher"),
    "itl_mean_ms": MetricDefinition("itl_mean_ms", "ms", "", "lower"),
    "running_mean": MetricDefinition("running_mean", "", "", "none"),
}


def run(run_id: str, config: dict[str, str], **metrics: float) -> ComparedRun:
    return ComparedRun(run_id, config, metrics)


def repeats(values: list[float], metric: str = "total_tok_s", **config: str) -> list[ComparedRun]:
    return [
        run(f"r{seed}", {**config, "workload.seed": str(seed)}, **{metric: value})
        for seed, value in enumerate(values)
    ]


def verdicts(comparison: Comparison) -> dict[str, str]:
    return {difference.metric: difference.verdict for difference in comparison.differences}


def test_two_single_runs_are_compared_and_their_configuration_difference_is_named() -> None:
    a = [run("a", {"backend.max_num_seqs": "256", "model": "opt"}, total_tok_s=1000, itl_mean_ms=20)]
    b = [run("b", {"backend.max_num_seqs": "512", "model": "opt"}, total_tok_s=1200, itl_mean_ms=30)]
    comparison = compare_groups(a, b, DEFINITIONS)
    assert [(d.name, d.in_a, d.in_b) for d in comparison.config] == [
        ("backend.max_num_seqs", ("256",), ("512",))
    ]
    assert verdicts(comparison) == {"total_tok_s": "better", "itl_mean_ms": "worse"}
    assert comparison.differences[0].change == pytest.approx(0.2)


def test_a_difference_inside_the_stated_floor_is_the_same() -> None:
    comparison = compare_groups([run("a", {}, total_tok_s=100)], [run("b", {}, total_tok_s=103)], DEFINITIONS)
    assert verdicts(comparison) == {"total_tok_s": "same"}
    assert comparison.differences[0].noise_source == "floor"
    strict = compare_groups(
        [run("a", {}, total_tok_s=100)], [run("b", {}, total_tok_s=103)], DEFINITIONS, noise_floor=0.01
    )
    assert verdicts(strict) == {"total_tok_s": "better"}


def test_the_band_from_repeats_is_students_t_on_the_pooled_variance() -> None:
    # variances 1 and 1, three repeats each: t(0.975, 4) * sqrt(1 * 2 / 3) = 2.776 * 0.8165 = 2.2667
    comparison = compare_groups(repeats([99, 100, 101]), repeats([101.0, 102, 103]), DEFINITIONS)
    (difference,) = comparison.differences
    assert difference.noise == pytest.approx(2.2667 / 100, rel=1e-3)
    assert (difference.noise_source, difference.runs_a, difference.runs_b) == ("repeats", 3, 3)
    assert difference.verdict == "same"
    assert verdicts(compare_groups(repeats([99, 100, 101]), repeats([102.0, 103, 104]), DEFINITIONS)) == {
        "total_tok_s": "better"
    }


def test_sweeps_are_matched_point_by_point_and_the_rest_is_counted() -> None:
    def sweep(batches: list[int], chunked: str, factor: float) -> list[ComparedRun]:
        return [
            run(f"{chunked}{batch}", {"batch": str(batch), "chunked": chunked}, total_tok_s=batch * factor)
            for batch in batches
        ]

    comparison = compare_groups(sweep([2, 4, 16, 32], "no", 10), sweep([4, 16, 64], "yes", 8), DEFINITIONS)
    assert [difference.point for difference in comparison.differences] == [
        (("batch", "4"),),
        (("batch", "16"),),
    ]
    assert (comparison.matched_points, comparison.points_only_in_a, comparison.points_only_in_b) == (2, 2, 1)
    assert [difference.name for difference in comparison.config] == ["chunked"]
    (summary,) = summarise_comparison(comparison)
    assert (summary.points, summary.worse, summary.better) == (2, 2, 0)
    assert summary.median_change == pytest.approx(-0.2)


def test_a_parameter_that_one_group_does_not_know_is_a_difference_and_no_obstacle_to_matching() -> None:
    a = [run(f"a{m}", {"model": m, "profile": m + ".json"}, total_tok_s=1) for m in ("x", "y")]
    b = [run(f"b{m}", {"model": m}, total_tok_s=1) for m in ("x", "y")]
    comparison = compare_groups(a, b, DEFINITIONS)
    assert comparison.matched_points == 2
    assert comparison.config[0].name == "profile"
    assert comparison.config[0].in_b == ()


def test_what_says_how_a_study_was_carried_out_is_no_difference() -> None:
    a = [run("a", {"sweep.id": "1", "outputs_dir": "x", "model.seed": "1"}, total_tok_s=1)]
    b = [run("b", {"sweep.id": "2", "outputs_dir": "y", "model.seed": "2"}, total_tok_s=1)]
    assert compare_groups(a, b, DEFINITIONS).config == ()


def test_seeds_make_repeats_and_no_points() -> None:
    comparison = compare_groups(repeats([1, 2]), repeats([1, 2, 3]), DEFINITIONS)
    assert comparison.matched_points == 1
    assert comparison.config == ()


def test_a_metric_that_only_one_group_has_is_named_not_guessed() -> None:
    comparison = compare_groups(
        [run("a", {}, total_tok_s=1, energy_j=2)], [run("b", {}, total_tok_s=1, power_w=2)], DEFINITIONS
    )
    assert comparison.metrics_only_in_a == ("energy_j",)
    assert comparison.metrics_only_in_b == ("power_w",)


def test_a_metric_without_a_better_direction_differs_or_not() -> None:
    comparison = compare_groups([run("a", {}, running_mean=1)], [run("b", {}, running_mean=2)], DEFINITIONS)
    assert verdicts(comparison) == {"running_mean": "different"}


def test_a_change_from_zero_has_no_percentage_but_a_verdict() -> None:
    comparison = compare_groups([run("a", {}, itl_mean_ms=0)], [run("b", {}, itl_mean_ms=2)], DEFINITIONS)
    assert comparison.differences[0].change is None
    assert comparison.differences[0].verdict == "worse"


def test_groups_without_a_common_point_or_without_runs_compare_to_nothing() -> None:
    assert compare_groups([], [], DEFINITIONS).differences == ()
    a = [run(f"a{n}", {"n": str(n)}, total_tok_s=1) for n in (1, 2)]
    b = [run(f"b{n}", {"n": str(n)}, total_tok_s=1) for n in (3, 4)]
    assert compare_groups(a, b, DEFINITIONS).matched_points == 0


@given(
    st.lists(st.floats(1, 100), min_size=1, max_size=5), st.lists(st.floats(1, 100), min_size=1, max_size=5)
)
def test_swapping_the_groups_turns_the_verdict_around(a: list[float], b: list[float]) -> None:
    mirrored = {"better": "worse", "worse": "better", "same": "same"}
    forth = verdicts(compare_groups(repeats(a), repeats(b), DEFINITIONS))
    back = verdicts(compare_groups(repeats(b), repeats(a), DEFINITIONS))
    assert back == {metric: mirrored[verdict] for metric, verdict in forth.items()}
