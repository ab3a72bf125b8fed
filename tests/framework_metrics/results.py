"""What tests ask of a collector's result."""

from __future__ import annotations

from framework.contracts import Metric, Result


def metric(result: Result, name: str) -> Metric:
    """Return one metric of a result."""
    return next(item for item in result.metrics if item.name == name)


def verdict(result: Result, name: str) -> tuple[str, str]:
    """Return verdict and detail of one check of a result."""
    return next((item.verdict, item.detail) for item in result.checks if item.name == name)


def sampled(result: Result, name: str) -> tuple[list[float], list[float]]:
    """Return (times, values) of one series of a result."""
    rows = [row for row in result.tables["samples"].to_pylist() if row["name"] == name]
    return [row["t_s"] for row in rows], [row["value"] for row in rows]
