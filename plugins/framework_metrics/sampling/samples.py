"""Sampled columns as rows of the table `samples`, under the names that users query."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from framework_metrics.sampling.recording import Series

if TYPE_CHECKING:
    import pyarrow as pa


def sample_rows(series: Mapping[str, Series], begin_s: float) -> pa.Table:
    """Return `samples(t_s, name, value)` of series by name; t counts from `begin_s`, earlier is negative."""
    import pyarrow as pa

    empty = np.zeros(0)
    lengths = [len(found.t_s) for found in series.values()]
    names = pa.array(list(series), pa.string())
    return pa.table(
        {
            "t_s": np.concatenate([empty, *(found.t_s - begin_s for found in series.values())]),
            "name": names.take(pa.array(np.repeat(np.arange(len(lengths)), lengths))),
            "value": np.concatenate([empty, *(found.values for found in series.values())]),
        }
    )
