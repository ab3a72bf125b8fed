"""One sampled series of a run, out of its table `samples`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from framework.contracts import Result

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa


def series_of(result: Result, name: str) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] | None:
    """Return (times, values) of a sampled series in order of time, or None if there is no value."""
    import numpy as np
    import pyarrow.compute as pc

    samples: pa.Table | None = result.tables.get("samples")
    if samples is None:
        return None
    own = samples.filter(pc.and_(pc.equal(samples["name"], name), pc.is_valid(samples["value"])))
    if own.num_rows == 0:
        return None
    t_s, values = own["t_s"].to_numpy(), own["value"].to_numpy()
    order = np.argsort(t_s, kind="stable")
    return t_s[order], values[order]
