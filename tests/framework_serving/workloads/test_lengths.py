from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framework.errors import ConfigError
from framework_serving.workloads.length_law import LengthLaw, histogram_law, moment_law
from framework_serving.workloads.lengths import sample_lengths
from framework_serving.workloads.settings import LengthSettings

KEY = "workload.lengths.input"
ADAPTER_STUDY = LengthSettings(
    kind="gamma",
    input_tokens=222.6,
    input_std=246.5,
    input_min=4,
    input_max=1024,
    output_tokens=198.6,
    output_std=206.0,
    output_max=2044,
    total_max=2048,
)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("n", [10, 100, 2000, 50_000])
@pytest.mark.parametrize("kind", ["gamma", "lognormal"])
def test_sample_mean_is_the_configured_mean_although_the_std_exceeds_it(kind: str, n: int) -> None:
    settings_of_kind = LengthSettings(**{**vars(ADAPTER_STUDY), "kind": kind})
    inputs, outputs = sample_lengths(settings_of_kind, n, rng())
    assert abs(inputs.mean() - 222.6) <= 0.5 / n + 1e-6
    assert abs(outputs.mean() - 198.6) <= 0.5 / n + 1e-6


def test_sample_keeps_the_configured_spread_and_all_bounds() -> None:
    inputs, outputs = sample_lengths(ADAPTER_STUDY, 20_000, rng())
    assert inputs.std() == pytest.approx(246.5, rel=0.01)
    assert outputs.std() == pytest.approx(206.0, rel=0.01)
    assert inputs.min() >= 4
    assert inputs.max() <= 1024
    assert outputs.min() >= 1
    assert (inputs + outputs).max() <= 2048


def test_no_heap_of_requests_sits_on_a_bound_as_clipping_would_leave() -> None:
    inputs, _ = sample_lengths(ADAPTER_STUDY, 20_000, rng())
    neighbours = np.bincount(inputs)[1014:1024].mean()
    assert (inputs == 1024).sum() < 4 * max(neighbours, 2)


@settings(max_examples=40, deadline=None)
@given(
    kind=st.sampled_from(["gamma", "lognormal"]),
    low=st.integers(1, 50),
    width=st.integers(30, 4000),
    place=st.floats(0.2, 0.6),
    spread=st.floats(0.02, 0.15),
    n=st.integers(1, 500),
)
def test_law_has_exactly_the_moments_asked_for(
    kind: str, low: int, width: int, place: float, spread: float, n: int
) -> None:
    mean, std = low + place * width, spread * width
    law = moment_law(kind, mean, std, low, low + width, KEY)
    assert law.mean == pytest.approx(mean, rel=1e-6)
    if std >= 1.0:
        assert law.std == pytest.approx(std, rel=1e-3)
    counts = law.sample(n, rng(n))
    assert counts.min() >= low
    assert counts.max() <= low + width
    assert abs(counts.sum() - n * mean) <= 0.5 + 1e-6 * n * mean


def test_no_spread_gives_the_two_whole_numbers_around_the_mean() -> None:
    counts = moment_law("gamma", 110.6, 0.0, 1, None, KEY).sample(1000, rng())
    assert set(counts) == {110, 111}
    assert counts.mean() == pytest.approx(110.6)


def test_histogram_keeps_its_shape_and_its_own_mean() -> None:
    law = histogram_law([[1, 10, 3.0], [21, 30, 1.0]], None, 1, None, KEY)
    assert law.mean == pytest.approx(0.75 * 5.5 + 0.25 * 25.5)
    counts = law.sample(4000, rng())
    assert (counts <= 10).mean() == pytest.approx(0.75, abs=0.01)
    assert not ((counts > 10) & (counts < 21)).any()


def test_histogram_is_tilted_to_a_configured_mean() -> None:
    law = histogram_law([[1, 10, 3.0], [21, 30, 1.0]], 15.0, 1, None, KEY)
    assert law.mean == pytest.approx(15.0)
    assert law.probabilities[10:20].sum() == 0


def test_fixed_lengths_are_exact() -> None:
    inputs, outputs = sample_lengths(
        LengthSettings(kind="fixed", input_tokens=242, output_tokens=390), 7, rng()
    )
    assert set(inputs) == {242}
    assert set(outputs) == {390}


def test_joint_rule_moves_neither_mean_even_when_it_binds_often() -> None:
    tight = LengthSettings(**{**vars(ADAPTER_STUDY), "total_max": 1100})
    inputs, outputs = sample_lengths(tight, 3000, rng())
    assert (inputs + outputs).max() <= 1100
    assert inputs.mean() == pytest.approx(222.6, rel=1e-3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "normal"}, "workload.lengths.kind: unknown value 'normal'"),
        ({"input_tokens": None}, "workload.lengths.input_tokens: needed"),
        ({"output_tokens": -3}, "workload.lengths.output_tokens: must be at least 1"),
        ({"input_std": -1}, "workload.lengths.input_std: must be at least 0"),
        ({"input_std": float("nan")}, "workload.lengths.input_std: expected a number"),
        ({"input_std": 900}, "workload.lengths.input_std: 900 is impossible"),
        ({"input_tokens": 1500}, "workload.lengths.input_tokens: a mean of 1500 is impossible"),
        ({"input_min": 0}, "workload.lengths.input_min: must be at least 1"),
        ({"input_max": 3}, "workload.lengths.input_max: must be at least 4"),
        ({"total_max": 300}, "workload.lengths.total_max: 300 is below the mean"),
        ({"kind": "fixed"}, "workload.lengths.input_tokens: must be a whole number"),
        ({"kind": "histogram"}, "workload.lengths.input_histogram: needed"),
        ({"kind": "histogram", "input_histogram": [[1, 2]]}, "input_histogram: bin 0 must be"),
        ({"kind": "histogram", "input_histogram": [7]}, "input_histogram: bin 0 must be"),
        ({"kind": "histogram", "input_histogram": [[5, 2, 1]]}, "input_histogram: bin 0 must span"),
        ({"kind": "histogram", "input_histogram": [[4, 9, 1], [9, 12, 1]]}, "bin 1 starts at 9"),
        (
            {"kind": "histogram", "input_histogram": [[1, 3, 1]]},
            "input_histogram: no weight within 4 to 1024",
        ),
        ({"kind": "histogram", "input_histogram": []}, "input_histogram: at least one bin"),
    ],
)
def test_bad_length_is_one_line_that_names_the_key(change: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        sample_lengths(LengthSettings(**{**vars(ADAPTER_STUDY), **change}), 10, rng())
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_law_of_one_count_samples_it() -> None:
    assert list(LengthLaw(5, np.ones(1)).sample(3, rng())) == [5, 5, 5]
