"""Metrics for users and capacity planning: by hand, and properties of the steady part."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framework.configuration.plain_values import from_plain
from framework.contracts import Metric, Result
from framework.errors import ConfigError
from framework_serving import tables
from framework_serving.metrics.load_course import tokens_until
from framework_serving.metrics.request_times import RequestTimes
from framework_serving.metrics.serving_metrics import derive
from framework_serving.workloads.settings import SyntheticSettings

Row = tuple[float, float | None, float | None, float | None, int, str]


def table(rows: list[Row]) -> pa.Table:
    """Rows of (arrival, scheduled, first, last, output tokens, status)."""
    arrival, scheduled, first, last, output, status = zip(*rows, strict=True)
    n = len(rows)
    times = [arrival, scheduled, first, last]
    columns = [list(range(n)), *times, [10] * n, output, [None] * n, [0] * n, status, [None] * n]
    return pa.table(columns, schema=tables.requests_out())


def metrics(requests: pa.Table, slo: dict[str, float] | None = None, **facts: object) -> dict[str, Metric]:
    config = {"workload": {"slo": slo or {}}}
    return {m.name: m for m in derive(config, None, Result(tables={"requests": requests}, facts=facts))}


ROWS: list[Row] = [
    (0.0, 0.0, 0.5, 2.5, 5, "finished"),  # TPOT 0.5 s
    (0.0, 0.0, 1.0, 2.0, 11, "finished"),  # TPOT 0.1 s
    (1.0, 1.0, 2.0, 2.0, 1, "finished"),
    (1.0, None, None, None, 0, "failed"),
]


def test_rates_are_per_gpu_and_per_user() -> None:
    found = metrics(table(ROWS), gpus=2, duration_s=2.5)
    assert found["output_tok_s_per_gpu"].value == 17 / 2.5 / 2
    assert found["output_tok_s_per_user"].value == pytest.approx((1 / 0.5 + 1 / 0.1) / 2)
    assert metrics(table(ROWS))["output_tok_s_per_gpu"].value is None


def test_the_share_within_the_objectives_counts_every_request_that_arrived() -> None:
    assert metrics(table(ROWS), {"ttft_ms": 600})["slo_share"].value == 1 / 4
    assert metrics(table(ROWS), {"tpot_ms": 200})["slo_share"].value == 2 / 4
    assert metrics(table(ROWS), {"itl_ms": 200})["slo_share"].value == 2 / 4
    assert metrics(table(ROWS), {"e2e_ms": 2000})["slo_share"].value == 2 / 4
    assert metrics(table(ROWS), {"e2e_ms": 1500, "ttft_ms": 1000})["slo_share"].value == 1 / 4
    assert metrics(table(ROWS), {"e2e_ms": 2000})["goodput_requests_s"].value == 2 / 2.5
    assert "e2e_ms" in (metrics(table(ROWS))["slo_share"].reason or "")


@pytest.mark.parametrize("key", ["ttft_ms", "tpot_ms", "itl_ms", "e2e_ms"])
def test_an_objective_that_no_request_can_meet_is_refused(key: str) -> None:
    with pytest.raises(ConfigError, match=rf"^workload\.slo\.{key}: must be greater than 0, got -5"):
        from_plain(SyntheticSettings, {"slo": {key: -5}}, "workload")


def test_percentiles_of_tpot_and_the_busiest_second() -> None:
    found = metrics(table(ROWS))
    assert found["tpot_p95_ms"].value == pytest.approx(np.percentile([500, 100], 95))
    assert found["e2e_p95_ms"].value == pytest.approx(np.percentile([2500, 2000, 1000], 95))
    # three parts of 5/6 s: by 0.83 s 1.67 tokens, by 1.67 s 3.33 and 7.67, by 2.5 s all 17
    assert found["output_tok_s_peak"].value == pytest.approx((11 - 1 - 2 / 3) / (2.5 / 3))


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 30), st.integers(0, 2**32 - 1), st.floats(0.0, 0.1))
def test_tokens_come_one_by_one_between_the_first_and_the_last(n: int, seed: int, way_s: float) -> None:
    rng = np.random.default_rng(seed)
    first, length, tokens = rng.random(n) * 5, rng.random(n) * 3, rng.integers(1, 40, n)
    last = first + np.where(tokens > 1, length, 0.0)
    rows: list[Row] = [
        (0.0, 0.0, f, t, int(k), "finished") for f, t, k in zip(first, last, tokens, strict=True)
    ]
    times = np.linspace(0, 9, 19)
    by_then = tokens_until(RequestTimes.of(table(rows)), times)
    for time_s, found in zip(times, by_then, strict=True):
        plain = sum(
            sum(f + i * (t - f) / max(k - 1, 1) <= time_s for i in range(k))
            for f, t, k in zip(first, last, tokens, strict=True)
        )
        assert plain - 1e-6 <= found <= plain + n
    assert by_then[-1] == pytest.approx(tokens.sum())
    # a client gets the last token a little after the engine's end
    found = metrics(table(rows), duration_s=max(1e-3, float(last.max()) - way_s))
    mean, peak = (found[name].value for name in ("output_tok_s", "output_tok_s_peak"))
    assert mean is not None
    assert peak is not None
    assert peak >= mean * (1 - 1e-9)


def test_the_steady_part_leaves_out_ramp_and_tail() -> None:
    # one user more a second up to ten; each busy with 1 s requests of 101 tokens until 60 s; one straggler to 100 s
    rows: list[Row] = [
        (float(t), float(t), t + 0.5, t + 1.0, 101, "finished") for user in range(10) for t in range(user, 60)
    ]
    rows.append((59.0, 59.0, 59.5, 100.0, 406, "finished"))
    found = metrics(table(sorted(rows)))
    assert found["steady_s"].value == pytest.approx(60 - 8, abs=1.01)
    assert found["steady_output_tok_s"].value == pytest.approx(10 * 101, rel=0.03)
    assert found["steady_running_mean"].value == pytest.approx(10, rel=0.03)
    assert found["steady_ttft_mean_ms"].value == pytest.approx(500)
    assert found["output_tok_s"].value == pytest.approx(10 * 101 * 0.555, rel=0.05)
