"""How much two runs of one configuration differ: the floor without repeats, and Student's t with them."""

from __future__ import annotations

NOISE_FLOOR = 0.04
"""Relative difference of two runs of one configuration that still occurs on other GPUs and days: worst of 18 repeated
configurations of arXiv 2503.08311's logs, 4.3 % in throughput, 4.8 % in ITL (median 0.5 %)."""


def student_t_975(degrees: int) -> float:
    """Return the 97.5 % quantile of Student's t: half-width of a two-sided 95 % interval in standard errors."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees, 0.975))
