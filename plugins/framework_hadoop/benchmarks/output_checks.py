"""Did a benchmark do what it claims? What the generator counted, held against what the output holds.

Checksums are sums (mod 2^64) of the records' hashes: equal sums mean the same records, in whatever order.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping

from framework.contracts import SanityCheck
from framework_hadoop.benchmarks.plan import BenchmarkPlan
from framework_hadoop.engines.run_report import RunReport

_RANK_UNITS = 1e15
_RANK_TOLERANCE = 1e-9


def output_checks(plan: BenchmarkPlan, made: Mapping[str, int], report: RunReport) -> list[SanityCheck]:
    """Return one verdict a claim on the output.

    Args:
        made: what the generator counted (`RECORDS`, `CHECKSUM`, `WORDS`, `WORD_CHECKSUM` …).
        report: the run's report with its validation jobs.
    """
    claims = {
        "wordcount": _wordcount,
        "sort": _sorted,
        "terasort": _sorted,
        "grep": _grep,
        "pagerank": _pagerank,
        "kmeans": _kmeans,
        "dfsio": _dfsio,
    }[plan.benchmark]
    return [
        SanityCheck(f"output_{name}", "pass" if good else "fail", "" if good else detail)
        for name, good, detail in claims(plan, made, report)
    ]


Claims = Iterator[tuple[str, bool, str]]


def _found(report: RunReport, name: str) -> int | None:
    for job in report.phase("validate"):
        for group, values in job.counters.items():
            if group.endswith("Validate$Found") and name in values:
                return values[name]
    return None


def _equal(name: str, what: str, found: int | None, expected: int | None) -> tuple[str, bool, str]:
    good = found is not None and found == expected
    return name, good, f"{what}: {found} in the output, {expected} expected"


def _in_order(report: RunReport) -> tuple[str, bool, str]:
    disorder = _found(report, "DISORDER")
    return "order", disorder == 0, f"{disorder} records out of order"


def _wordcount(plan: BenchmarkPlan, made: Mapping[str, int], report: RunReport) -> Claims:
    yield _equal("words", "words counted", _found(report, "WEIGHT"), made.get("WORDS"))
    yield _equal("checksum", "checksum of words", _found(report, "CHECKSUM"), made.get("WORD_CHECKSUM"))
    yield _in_order(report)


def _sorted(plan: BenchmarkPlan, made: Mapping[str, int], report: RunReport) -> Claims:
    yield _equal("records", "records", _found(report, "ROWS"), made.get("RECORDS"))
    yield _equal("checksum", "checksum of records", _found(report, "CHECKSUM"), made.get("CHECKSUM"))
    yield _in_order(report)


def _grep(plan: BenchmarkPlan, made: Mapping[str, int], report: RunReport) -> Claims:
    truth: dict[str, int] = {"WEIGHT": 0, "CHECKSUM": 0}
    recounted = False
    for job in report.phase("validate"):
        recounted = recounted or job.step == "recount"
        for group, values in job.counters.items():
            if group.endswith("Validate$Truth"):
                truth.update(values)
    yield "recount", recounted, "the second search of the input is missing"
    yield _equal("matches", "matches", _found(report, "WEIGHT"), truth["WEIGHT"])
    yield _equal("checksum", "checksum of matches", _found(report, "CHECKSUM"), truth["CHECKSUM"])
    yield _in_order(report)


def _pagerank(plan: BenchmarkPlan, made: Mapping[str, int], report: RunReport) -> Claims:
    yield _equal("nodes", "nodes", _found(report, "ROWS"), made.get("RECORDS"))
    weight = _found(report, "WEIGHT")
    total = None if weight is None else weight / _RANK_UNITS
    good = total is not None and abs(total - 1) < _RANK_TOLERANCE
    yield "rank_sum", good, f"ranks sum to {total}, not to 1"


def _kmeans(plan: BenchmarkPlan, made: Mapping[str, int], report: RunReport) -> Claims:
    steps = range(1, (plan.iterations or 0) + 1)
    sizes = [report.facts.get(f"points_{step}") for step in steps]
    good = all(size == made.get("RECORDS") for size in sizes)
    yield "points", good, f"cluster sizes sum to {sizes}, {made.get('RECORDS')} expected in each iteration"
    inertia = [report.facts.get(f"inertia_{step}") for step in steps]
    known = [value for value in inertia if value is not None]
    falling = all(after <= before * (1 + 1e-12) for before, after in itertools.pairwise(known))
    yield "inertia", len(known) == len(inertia) and falling, f"inertia must not rise: {inertia}"


def _dfsio(plan: BenchmarkPlan, made: Mapping[str, int], report: RunReport) -> Claims:
    yield _equal("bytes_written", "bytes", report.total("WRITE_BYTES"), plan.size_bytes)
    yield _equal("bytes_read", "bytes", report.total("READ_BYTES"), plan.size_bytes)
    yield _equal(
        "content", "CRC of the data read", report.total("READ_CHECKSUM"), report.total("WRITE_CHECKSUM")
    )
