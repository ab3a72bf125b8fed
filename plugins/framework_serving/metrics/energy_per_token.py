"""Energy of a serving run per token, per request, and while its batch was full.

The joules come from a collector (`metrics=energy`), which knows its sensor, or from a model of power; here they meet
the run's tokens and requests.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from framework.contracts import Metric, Result
from framework_serving.metrics.metric_definitions import UNITS
from framework_serving.metrics.request_times import RequestTimes
from framework_serving.metrics.sample_series import series_of

STEADY_SHARE = 0.9
"""The batch counts as full while at least this share of its largest number of requests runs."""

PER_SERVED = (
    "energy_j_per_token",
    "energy_j_per_output_token",
    "energy_j_per_request",
    "energy_delay_js",
    "tok_s_per_w",
)


def energy_metrics(
    run: RequestTimes, duration_s: float | None, given: Mapping[str, Metric], result: Result
) -> Iterator[Metric]:
    """Yield energy, and energy per token and request, as values with the bounds of the energy or absent."""
    power, energy = given.get("power_mean_w"), given.get("energy_j")
    if power is None:
        yield _absent("power_mean_w", "no collector or model of power in this run")
    if energy is None or energy.value is None:
        if power is None or power.value is None or not duration_s:
            told = energy or power
            reason = (told.reason if told else None) or "no collector or model of energy in this run"
            for name in ("energy_j", *PER_SERVED, "power_steady_w"):
                yield _absent(name, reason)
            return
        source = f"power_mean_w ({power.source}) × duration_s"
        energy = Metric("energy_j", power.value * duration_s, UNITS["energy_j"], source)
        yield energy
    yield from _per_served(run, energy)
    yield from _steady(run, duration_s, energy, result)


def _per_served(run: RequestTimes, energy: Metric) -> Iterator[Metric]:
    served = run.served()
    tokens, requests = int(served.tokens.sum()), len(served.arrival_s)
    if not tokens:
        for name in PER_SERVED[:-1]:
            yield _absent(name, "no request finished")
        return
    yield _share(energy, "energy_j_per_token", tokens)
    yield _share(energy, "energy_j_per_output_token", int(served.output_tokens.sum()))
    yield _share(energy, "energy_j_per_request", requests)
    yield _share(energy, "energy_delay_js", requests / float(served.e2e_s.mean()))


def _share(energy: Metric, name: str, divisor: float) -> Metric:
    """Return energy / divisor, with the energy's bounds, window and updates."""
    value, low, high = (
        None if bound is None else bound / divisor for bound in (energy.value, energy.low, energy.high)
    )
    return Metric(name, value, UNITS[name], energy.source, None, low, high, energy.window_s, energy.updates)


def _steady(run: RequestTimes, duration_s: float | None, energy: Metric, result: Result) -> Iterator[Metric]:
    """Yield power while the batch was full, and tokens per second and watt, else of the whole run."""
    found = _steady_window(result)
    served = run.served()
    if not isinstance(found, str):
        begin_s, end_s, energy_j = found
        length_s, source = end_s - begin_s, f"{energy.source}, while the batch was full"
        power_w = energy_j / length_s
        yield Metric("power_steady_w", power_w, UNITS["power_steady_w"], source, window_s=length_s)
        rate = _tokens_between(served, begin_s, end_s) / length_s
        yield Metric("tok_s_per_w", rate / power_w, UNITS["tok_s_per_w"], source, window_s=length_s)
        return
    yield _absent("power_steady_w", found)
    tokens = int(served.tokens.sum())
    if not tokens or not energy.value:
        yield _absent("tok_s_per_w", "no request finished")
    else:
        source = f"{energy.source}, whole run"
        yield Metric("tok_s_per_w", tokens / energy.value, UNITS["tok_s_per_w"], source, window_s=duration_s)


def _steady_window(result: Result) -> tuple[float, float, float] | str:
    """Return (begin, end, joules in between) of the time with a full batch, or why there is none.

    From the first to the last sample with at least `STEADY_SHARE` of the most running requests, less one update of
    the energy sensor at either end: warm-up, ramp and tail are outside.
    """
    import numpy as np

    facts: Any = result.facts.get("energy")
    grown, running = series_of(result, "gpu_energy_j"), series_of(result, "running")
    if not isinstance(facts, Mapping) or facts.get("window") != "run" or grown is None:
        return "no energy measured along the run (metrics=energy on a backend in real time)"
    if running is None:
        return "no samples of running requests"
    full = np.flatnonzero(running[1] >= STEADY_SHARE * running[1].max())
    cadence_s = float(facts.get("sensor_cadence_s") or 0.0)
    begin_s, end_s = float(running[0][full[0]]) + cadence_s, float(running[0][full[-1]]) - cadence_s
    needed_s = float(facts.get("minimum_window_s") or 0.0)
    if end_s - begin_s < needed_s or end_s <= begin_s:
        length_s = max(0.0, end_s - begin_s)
        return f"the batch was full for {length_s:.3g} s, but the energy sensor needs {needed_s:.3g} s"
    at_begin, at_end = np.interp([begin_s, end_s], *grown)
    return begin_s, end_s, float(at_end - at_begin)


def _tokens_between(served: RequestTimes, begin_s: float, end_s: float) -> float:
    """Return tokens computed in a stretch: a prompt at its first token, output evenly from first to last token."""
    import numpy as np

    prompts = served.input_tokens[(served.first_token_s >= begin_s) & (served.first_token_s < end_s)].sum()
    length_s = np.maximum(served.last_token_s - served.first_token_s, 1e-9)
    inside_s = np.minimum(served.last_token_s, end_s) - np.maximum(served.first_token_s, begin_s)
    share = np.clip(inside_s / length_s, 0.0, 1.0)
    return float(prompts + (served.output_tokens * share).sum())


def _absent(name: str, reason: str) -> Metric:
    return Metric.absent(name, reason, UNITS[name])
