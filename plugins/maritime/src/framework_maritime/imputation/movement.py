"""What a ship's movement says about it: features from its track, one row a ship."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from framework.errors import ConfigError
from framework_maritime.series.crbm import train
from framework_maritime.series.forecasting import training_windows
from framework_maritime.series.windows import Scaler, Series, history, usable_rows

Array = npt.NDArray[np.float64]

FEATURES = ("none", "history", "pca", "crbm")
SCALINGS = ("global", "ship", "both")
VISIBLE = ("turn_deg_min", "sog_kn", "depth_level")
_WINDOWS = 20_000
_COMPONENTS = 10


def movement_features(
    series: Sequence[Series],
    known: npt.NDArray[np.bool_],
    kind: str,
    delay: int = 20,
    hidden: int = 10,
    scaling: str = "global",
    seed: int = 0,
) -> Array:
    """Return features of each ship: (ships, features); empty columns for `none`.

    Args:
        series: turn rate, speed and depth level of each ship.
        known: ships whose engines are known; anything that is fitted (scaler, PCA, CRBM) is fitted to these alone.
        kind: `none`, `history` (quantiles of speed and turn, time at berth), `pca` (principal components of windows,
            averaged), `crbm` (mean and spread of activations). All but `none` hold the speed quantiles too.
        scaling: for `pca` and `crbm`: one scaler for all ships, one for each ship, or both side by side. A scaler for
            each ship removes the level of speed, which says much about type and power.

    Raises:
        ConfigError: unknown kind or scaling; names the key.
    """
    if kind not in FEATURES:
        raise ConfigError(f"backend.features: unknown features '{kind}' (known: {', '.join(FEATURES)})")
    if scaling not in SCALINGS:
        raise ConfigError(f"backend.scaling: unknown scaling '{scaling}' (known: {', '.join(SCALINGS)})")
    if kind == "none":
        return np.zeros((len(series), 0))
    plain = np.array([_quantiles(one.values) for one in series])
    if kind == "history":
        return plain
    parts = [plain]
    for way in ("global", "ship") if scaling == "both" else (scaling,):
        parts.append(_window_features(series, known, kind, delay, hidden, way, seed))
    return np.concatenate(parts, axis=1)


def _quantiles(values: Array) -> Array:
    speed, turn = values[:, 1], np.abs(values[:, 0])
    under_way = speed > 0.5
    if not under_way.any():
        return np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, float(values[:, 2].mean())])
    moving = speed[under_way]
    return np.array(
        [
            *np.quantile(moving, (0.5, 0.9, 0.98)),
            float(np.mean(moving**3)) ** (1 / 3),
            *np.quantile(turn[under_way], (0.5, 0.9)),
            1.0 - float(under_way.mean()),
            float(values[:, 2].mean()),
        ]
    )


def _window_features(
    series: Sequence[Series],
    known: npt.NDArray[np.bool_],
    kind: str,
    delay: int,
    hidden: int,
    scaling: str,
    seed: int,
) -> Array:
    if scaling == "ship":
        series = [Series(Scaler.of(one.values)(one.values), one.whole) for one in series]
    fitting = [one for one, fit in zip(series, known, strict=True) if fit] or list(series)
    scaler = Scaler.of(np.concatenate([one.values for one in fitting]))
    v, past = training_windows(fitting, scaler, delay, _WINDOWS, seed)
    if kind == "crbm":
        machine = train(v, past, hidden, seed=seed)
        project, width = machine.activations, hidden
    else:
        centre = past.mean(axis=0)
        axes = np.linalg.svd(past[:5_000] - centre, full_matrices=False)[2][:_COMPONENTS]
        width = len(axes)

        def project(v: Array, past: Array) -> Array:
            return np.asarray((past - centre) @ axes.T)

    found = np.zeros((len(series), 2 * width))
    for row, one in enumerate(series):
        usable = usable_rows(one, delay)
        if len(usable):
            usable = usable[:: max(1, len(usable) // 1_000)]
            scaled = scaler(one.values)
            values = project(scaled[usable], history(scaled, usable, delay))
            found[row] = np.concatenate([values.mean(axis=0), values.std(axis=0)])
    return found
