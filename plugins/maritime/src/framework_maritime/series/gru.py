"""A small gated recurrent unit over the same windows as the CRBM; needs PyTorch (extra `gru`)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from framework.errors import ConfigError
from framework_maritime.series.windows import Forecaster, Scaler, Series, history

Array = npt.NDArray[np.float64]

_UNITS, _EPOCHS, _BATCH, _RATE = 16, 8, 256, 3e-3


def gru_forecaster(v: Array, past: Array, scaler: Scaler, delay: int, seed: int) -> Forecaster:
    """Return a forecaster: 16 recurrent units, their last state, a linear layer on top of the last value.

    Raises:
        ConfigError: PyTorch is not installed.
    """
    try:
        import torch
    except ImportError:
        raise ConfigError(
            "backend.learner=gru needs the package torch: pip install 'framework-maritime[gru]'"
        ) from None
    torch.manual_seed(seed)
    variables = v.shape[1]
    unit = torch.nn.GRU(variables, _UNITS, batch_first=True)
    top = torch.nn.Linear(_UNITS, variables)
    optimiser = torch.optim.Adam([*unit.parameters(), *top.parameters()], _RATE)

    def ahead(windows: torch.Tensor) -> torch.Tensor:
        states, _ = unit(windows)
        return windows[:, -1] + top(states[:, -1])

    def in_order(rows: Array) -> torch.Tensor:
        """The history of a row is the nearest first; a recurrent unit reads the oldest first."""
        shaped = rows.reshape(len(rows), delay, variables)[:, ::-1]
        return torch.from_numpy(np.ascontiguousarray(shaped, dtype=np.float32))

    windows, target = in_order(past), torch.from_numpy(v.astype(np.float32))
    generator = torch.Generator().manual_seed(seed)
    for _ in range(_EPOCHS):
        for rows in torch.randperm(len(target), generator=generator).split(_BATCH):
            optimiser.zero_grad()
            torch.nn.functional.mse_loss(ahead(windows[rows]), target[rows]).backward()
            optimiser.step()

    def forecast(series: Series, rows: npt.NDArray[np.int64]) -> Array:
        scaled = scaler(series.values)
        with torch.no_grad():
            found = ahead(in_order(history(scaled, rows, delay))).numpy()
        return np.asarray(found * scaler.sd + scaler.mean, float)

    return forecast
