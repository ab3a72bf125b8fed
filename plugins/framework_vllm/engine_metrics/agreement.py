"""Do the client and the engine agree? Each saw every request and every token."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from framework.contracts import SanityCheck, Verdict
from framework_vllm.client.load_contracts import LoadOutcome
from framework_vllm.engine_metrics.exposition import Histogram
from framework_vllm.engine_metrics.record import EngineRecord

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

TTFT_SHARE, TTFT_MS = 0.05, 2.0
"""Client and engine agree on the mean TTFT within this share, or within so many milliseconds of transport."""

ITL_SHARE, ITL_MS, ITL_FAIL_SHARE = 0.05, 0.3, 0.5
"""The same for the mean gap between tokens; beyond the last share the client did not see them come."""


def agreement(load: LoadOutcome, record: EngineRecord) -> list[SanityCheck]:
    """Return the findings: token counts per request and in total, and the mean time to first token.

    Totals are compared only where every request was served to its end: the engine also counts what it did for
    requests that were cut or failed.
    """
    found = [*_usage(load)]
    if record.trouble is not None:
        return [*found, SanityCheck("engine_metrics", "warn", record.trouble)]
    if not _all_finished(load.requests):
        return found
    return [
        *found,
        *_totals(load, record),
        *_lengths(load, record),
        *_ttft(load, record),
        *_itl(load, record),
    ]


def _all_finished(requests: pa.Table) -> bool:
    import pyarrow.compute as pc

    return bool(pc.all(pc.equal(requests["status"], "finished")).as_py())


def _usage(load: LoadOutcome) -> Iterator[SanityCheck]:
    """Compare each finished request's counts with the usage that the server stated for it."""
    import pyarrow.compute as pc

    finished = pc.equal(load.requests["status"], "finished")
    seen = load.requests.filter(finished)
    told = load.client_requests.filter(finished)
    for tokens, stated in (("input_tokens", "prompt_tokens"), ("output_tokens", "completion_tokens")):
        known = len(told) - told[stated].null_count
        if known == 0:
            continue
        wrong = pc.sum(pc.not_equal(seen[tokens], told[stated])).as_py() or 0
        verdict: Verdict = "fail" if wrong else "pass"
        detail = f"{wrong} of {known} finished requests with a count that differs from the server's"
        yield SanityCheck(f"usage_{tokens}", verdict, detail)


def _totals(load: LoadOutcome, record: EngineRecord) -> Iterator[SanityCheck]:
    import pyarrow.compute as pc

    for tokens, family in (
        ("input_tokens", "vllm:prompt_tokens"),
        ("output_tokens", "vllm:generation_tokens"),
    ):
        grown = record.grown(family)
        if grown is None:
            continue
        seen = pc.sum(load.requests[tokens]).as_py()
        # a retried request was computed more often than it was served
        excused = load.facts.get("client_retries") or 0
        verdict: Verdict = "pass" if grown == seen else "warn" if excused else "fail"
        yield SanityCheck(f"engine_{tokens}", verdict, f"client {seen}, engine {grown:.0f}")


def _lengths(load: LoadOutcome, record: EngineRecord) -> Iterator[SanityCheck]:
    """Compare the distribution of tokens per request, bucket by bucket of the engine's histogram."""
    for tokens, family in (
        ("input_tokens", "vllm:request_prompt_tokens"),
        ("output_tokens", "vllm:request_generation_tokens"),
    ):
        histogram = record.observed(family)
        if histogram is None or not histogram.counts:
            continue
        wrong = differing_buckets(histogram, load.requests[tokens].to_numpy())
        excused = bool(load.facts.get("client_retries"))
        verdict: Verdict = "pass" if not wrong else "warn" if excused else "fail"
        detail = (
            f"{wrong} of {len(histogram.counts)} buckets of the engine's histogram differ from the client's"
        )
        yield SanityCheck(f"engine_request_{tokens}", verdict, detail)


def differing_buckets(histogram: Histogram, values: npt.NDArray[np.int64]) -> int:
    """Return how many cumulative buckets of a histogram hold another number than that many of the values."""
    return sum(int((values <= bound).sum()) != count for bound, count in histogram.counts.items())


def _ttft(load: LoadOutcome, record: EngineRecord) -> Iterator[SanityCheck]:
    """Compare the mean time from sending to the first token with the engine's, from its door to the first token."""
    import numpy as np

    histogram = record.observed("vllm:time_to_first_token_seconds")
    if histogram is None or histogram.count <= 0:
        return
    waited = load.requests["first_token_s"].to_numpy() - load.client_requests["sent_s"].to_numpy()
    client_ms, engine_ms = 1e3 * float(np.mean(waited)), 1e3 * histogram.sum / histogram.count
    apart = abs(client_ms - engine_ms)
    near = apart <= max(TTFT_MS, TTFT_SHARE * engine_ms)
    detail = f"client {client_ms:.2f} ms from sending, engine {engine_ms:.2f} ms"
    yield SanityCheck("engine_ttft", "pass" if near else "warn", detail)


def _itl(load: LoadOutcome, record: EngineRecord) -> Iterator[SanityCheck]:
    """Compare the mean gap between tokens: a client that gets no CPU time reads many tokens at once, with no gaps."""
    client_ms = next((metric.value for metric in load.metrics if metric.name == "itl_mean_ms"), None)
    histogram = record.observed("vllm:inter_token_latency_seconds")
    if client_ms is None or histogram is None or histogram.count <= 0:
        return
    engine_ms = 1e3 * histogram.sum / histogram.count
    apart = abs(client_ms - engine_ms)
    verdict: Verdict = "pass"
    if apart > max(ITL_MS, ITL_FAIL_SHARE * engine_ms):
        verdict = "fail"
    elif apart > max(ITL_MS, ITL_SHARE * engine_ms):
        verdict = "warn"
    yield SanityCheck("engine_itl", verdict, f"client {client_ms:.3f} ms, engine {engine_ms:.3f} ms")
