"""The `samples` of any run as one series, and the stretches in which it behaves alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from framework.contracts import StoreReader
from framework_maritime.series.regimes import DEFAULT_METHOD, MOST_ROWS, Regime, regimes

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class RunPhases:
    """The phases of a run.

    Attributes:
        names: series that were read, in the order of the columns.
        t_s: times of the rows.
        values: (rows, names).
        phases: stretches in order.
    """

    run_id: str
    names: Sequence[str]
    t_s: Array
    values: Array
    phases: Sequence[Regime]


_LEAST_ROWS = 20


def run_phases(
    store: StoreReader, run_id: str, names: Sequence[str] = (), method: str = DEFAULT_METHOD, most: int = 5
) -> RunPhases | None:
    """Return the phases of a run; None if it holds no series of at least 20 samples that changes.

    Series sampled at different times are brought to one even time axis: the last value known at each time.

    Args:
        names: series to use; empty for all that change.
    """
    rows = store.query("SELECT name, t_s, value FROM samples WHERE run_id = ? ORDER BY name, t_s", [run_id])
    name, t, value = (np.asarray(rows[column].to_pylist(), object) for column in ("name", "t_s", "value"))
    found: dict[str, tuple[Array, Array]] = {}
    for one in dict.fromkeys(name.tolist()):
        if names and one not in names:
            continue
        chosen = name == one
        times, values = (
            t[chosen].astype(float),
            np.array([np.nan if v is None else v for v in value[chosen]], float),
        )
        known = np.isfinite(times) & np.isfinite(values)
        times, values = times[known], values[known]
        if len(values) >= _LEAST_ROWS and np.ptp(values) > 0:
            found[one] = (times, values)
    if not found:
        return None
    begin = max(times[0] for times, _ in found.values())
    end = min(times[-1] for times, _ in found.values())
    if end <= begin:
        return None
    count = int(min(MOST_ROWS, max(len(times) for times, _ in found.values())))
    axis = np.linspace(begin, end, count)
    columns = [values[np.searchsorted(times, axis, "right") - 1] for times, values in found.values()]
    matrix = np.stack(columns, axis=1)
    return RunPhases(run_id, list(found), axis, matrix, regimes(matrix, method, most))
