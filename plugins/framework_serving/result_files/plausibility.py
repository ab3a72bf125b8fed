"""Can the figures of an imported result all be true? Relations between them that hold for every load generator."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import combinations

from framework.contracts import SanityCheck, Verdict
from framework_serving.result_files.metric_names import FAILED, INPUT_TOTAL, OUTPUT_TOTAL, PROMPTS

Figures = Mapping[str, float]

TOLERANCE = 0.02
"""Relative difference that is nothing to remark: what tools time at slightly different ends, and rounding."""

NOMINAL_TOLERANCE = 0.15
"""The same where a mean length is that of the load as asked for, not that of what was served."""

END_SLACK_S = 0.05
"""By how much the ends differ between which a tool counts and times, seconds."""

_SHARES = ("kv_usage_peak", "prefix_hit_share", "slo_share")
_PERCENTAGES = ("gpu_util_mean_pct",)
_ORDER = ("p50", "p90", "p95", "p99")
_MOST_SHOWN = 4


def figure_checks(
    figures: Figures, rounding: float = 0.0, nominal_lengths: bool = False
) -> list[SanityCheck]:
    """Return what can be said of a result from its figures alone; nothing if none can be held against another.

    Args:
        figures: metrics by our name, with the counts of `metric_names`.
        rounding: half of the last digit that the file prints; 0 for full precision.
        nominal_lengths: the mean lengths are those asked for.
    """
    checks = []
    compared = list(_relations(figures, nominal_lengths))
    impossible = list(_impossible(figures))
    wrong = [text for text, far in compared if far(rounding)]
    if impossible or wrong:
        checks.append(SanityCheck("figures_agree", "fail", _listed(impossible + wrong)))
    elif compared:
        checks.append(SanityCheck("figures_agree", "pass", f"{len(compared)} relations between figures hold"))
    served = _served(figures)
    return checks + ([served] if served else [])


def _listed(findings: list[str]) -> str:
    more = len(findings) - _MOST_SHOWN
    return "; ".join(findings[:_MOST_SHOWN]) + (f"; {more} more" if more > 0 else "")


def _impossible(figures: Figures) -> Iterator[str]:
    for name, value in figures.items():
        if value < 0:
            yield f"{name} is {value:g}, below 0"
    for name in _SHARES:
        if figures.get(name, 0.0) > 1:
            yield f"{name} is {figures[name]:g}, a share above 1"
    for name in _PERCENTAGES:
        if figures.get(name, 0.0) > 100:
            yield f"{name} is {figures[name]:g}, above 100 %"
    if figures.get("duration_s") == 0:
        yield "duration_s is 0"


def _relations(figures: Figures, nominal_lengths: bool) -> Iterator[tuple[str, Callable[[float], bool]]]:
    """Yield relations as their text if they are broken, and whether they are, given the rounding."""
    for rate, count in (
        ("requests_s", "completed"),
        ("output_tok_s", OUTPUT_TOTAL),
        ("total_tok_s", "tokens_total"),
    ):
        yield from _product(figures, (rate, "duration_s"), count, TOLERANCE)
    if INPUT_TOTAL in figures and OUTPUT_TOTAL in figures:
        totals = {**figures, "all tokens": figures[INPUT_TOTAL] + figures[OUTPUT_TOTAL]}
        yield from _product(totals, ("total_tok_s", "duration_s"), "all tokens", TOLERANCE)
    lengths = NOMINAL_TOLERANCE if nominal_lengths else TOLERANCE
    if "input_tokens_mean" in figures and "output_tokens_mean" in figures:
        means = {**figures, "mean tokens": figures["input_tokens_mean"] + figures["output_tokens_mean"]}
        yield from _product(means, ("requests_s", "mean tokens"), "total_tok_s", lengths)
    yield from _product(figures, ("requests_s", "output_tokens_mean"), "output_tok_s", lengths)
    for quantity in ("ttft", "tpot", "itl", "e2e"):
        known = [f"{quantity}_{key}_ms" for key in _ORDER if f"{quantity}_{key}_ms" in figures]
        for low, high in combinations(known, 2):
            yield _not_above(figures, low, high)
    for pair in (
        *(("ttft_mean_ms", "e2e_mean_ms"), ("ttft_p50_ms", "e2e_p50_ms"), ("ttft_p99_ms", "e2e_p99_ms")),
        *(("output_tok_s", "total_tok_s"), ("completed", PROMPTS), ("goodput_requests_s", "requests_s")),
    ):
        if pair[0] in figures and pair[1] in figures:
            yield _not_above(figures, *pair)


def _product(
    figures: Figures, factors: tuple[str, str], result: str, tolerance: float
) -> Iterator[tuple[str, Callable[[float], bool]]]:
    if not all(name in figures for name in (*factors, result)):
        return
    one, other, stated = (figures[name] for name in (*factors, result))
    text = f"{factors[0]} {one:g} × {factors[1]} {other:g} is {one * other:.6g}, but {result} is {stated:g}"

    def far(rounding: float) -> bool:
        least = min(abs(value) for value in (one, other, stated)) or 1.0
        allowed = tolerance + 3 * rounding / max(least, rounding or least)
        if "duration_s" in factors and figures["duration_s"] > 0:
            allowed += END_SLACK_S / figures["duration_s"]
        return abs(one * other - stated) > allowed * max(abs(stated), abs(one * other))

    yield text, far


def _not_above(figures: Figures, low: str, high: str) -> tuple[str, Callable[[float], bool]]:
    text = f"{low} is {figures[low]:g}, above {high} {figures[high]:g}"
    return text, lambda rounding: figures[low] > figures[high] * (1 + 1e-6) + 2 * rounding


def _served(figures: Figures) -> SanityCheck | None:
    """Return whether all requests were served: failed ones are counted, or missing in what was completed."""
    sent, done = figures.get(PROMPTS), figures.get("completed")
    failed = figures.get(FAILED)
    if failed is None and sent is not None and done is not None:
        failed = sent - done
    if failed is None or failed < 0:
        return None
    total = sent if sent is not None else (done or 0.0) + failed
    if failed == 0 or not total:
        return SanityCheck("requests_served", "pass", "no request failed")
    verdict: Verdict = "fail" if failed / total > 0.01 else "warn"
    return SanityCheck("requests_served", verdict, f"{failed:g} of {total:g} requests were not served")
