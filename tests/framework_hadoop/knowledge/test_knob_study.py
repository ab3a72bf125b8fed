"""What a sweep over knobs teaches, on made-up runs whose truth is known."""

from __future__ import annotations

import itertools

import numpy as np
import pyarrow as pa
import pytest

from framework.analysis.prediction.logged_runs import LoggedRuns
from framework.errors import ConfigError
from framework_hadoop.knowledge.knob_advisor import KnobAdvisor
from framework_hadoop.knowledge.knob_study import best_settings, knob_names

pytest.importorskip("sklearn")


def runs(leave_out: tuple[float, str] | None = None) -> LoggedRuns:
    """Times that fall with slots and rise with a codec, ±2 %; 2 repeats of 2 x 2 x 2 settings."""
    noise = np.random.default_rng(0)
    rows = [
        (benchmark, slots, codec)
        for benchmark, slots, codec, _ in itertools.product(
            ("sort", "wordcount"), (1.0, 2.0), ("none", "zlib"), "ab"
        )
        if (slots, codec) != leave_out
    ]
    target = [
        (10 if b == "sort" else 20) / s * (1.5 if c == "zlib" else 1) * noise.normal(1, 0.02)
        for b, s, c in rows
    ]
    columns = {
        "workload.benchmark": np.array([row[0] for row in rows], dtype=object),
        "backend.map_slots": np.array([row[1] for row in rows]),
        "backend.codec": np.array([row[2] for row in rows], dtype=object),
    }
    ids = tuple(f"run-{number}" for number in range(len(rows)))
    return LoggedRuns(ids, "exe_time_s", "s", np.array(target), columns)


def test_the_fastest_setting_is_found_with_an_interval_around_its_time() -> None:
    for best, truth in zip(best_settings(runs()), (5.0, 10.0), strict=True):
        assert best.settings == {"backend.codec": "none", "backend.map_slots": "2"}
        assert best.low_s <= best.predicted_s <= best.high_s
        assert best.predicted_s == pytest.approx(truth, rel=0.1)
        assert (best.measured, best.regret) == (True, 0.0)
        assert best.others == 3
        assert best.second == {
            "backend.codec": "zlib",
            "backend.map_slots": "2",
        }  # 1.5 times, not twice, the time
        assert best.second_s == pytest.approx(1.5 * truth, rel=0.15)
        assert best.edges == ()  # two values have no edge


def test_a_setting_that_was_never_run_can_be_the_best_and_has_no_regret() -> None:
    for best in best_settings(runs(leave_out=(2.0, "none"))):
        if best.settings == {"backend.codec": "none", "backend.map_slots": "2"}:
            assert (best.measured, best.regret) == (False, None)
        else:
            assert best.regret is not None


def test_of_knobs_that_move_together_the_first_stands_for_both() -> None:
    columns = dict(runs().columns)
    columns["backend.reduce_slots"] = columns["backend.map_slots"]
    assert knob_names(columns) == ["backend.codec", "backend.map_slots"]


class NoRuns:
    def query(self, sql: str, parameters: object = ()) -> pa.Table:
        return pa.table({"name": pa.array([], pa.string())})


def test_too_few_runs_support_no_advice() -> None:
    from framework.contracts import AdvisorScope

    scope = AdvisorScope(NoRuns(), "x", None, ["run-1"], lambda name, overrides: None)  # type: ignore[arg-type,return-value]
    assert list(KnobAdvisor().advise(scope)) == []


def test_a_level_that_is_no_fraction_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"advisor\.knobs\.level"):
        KnobAdvisor(level=90)
