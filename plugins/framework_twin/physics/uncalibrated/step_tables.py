"""Step times as tables: what a provider of physics that is no fitted law hands to the kernel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

GRID = np.concatenate([np.arange(1, 4), np.round(2.0 ** np.arange(2.0, 14.01, 0.5))]).astype(np.int64)
"""Tokens of a step at which tables are stated: powers of √2 up to 16,384."""
MOST_DECODES = 256
"""Tokens of a step that are taken for decodes where tables must tell them from prompts; more of them are prompts."""


@dataclass(frozen=True)
class StepTables:
    """Seconds of a step's parts over the tokens in it, for one replica.

    Attributes:
        tokens: ascending numbers of tokens (for decode attention: of decoding requests).
        products_s: all that depends on the tokens alone: matrix products, experts, collectives, small kernels.
        attend_s: decode attention of so many requests without any context.
        context_s: its slope per token of context, summed over requests, in layers that see all of it.
        window_s: the same in layers with a sliding window.
        pair_s, window_pair_s: one (query, key) pair of prompt attention in layers without and with a window.
        window: tokens of the window; infinite without one.
    """

    tokens: Floats
    products_s: Floats
    attend_s: Floats
    context_s: Floats
    window_s: Floats
    pair_s: float
    window_pair_s: float = 0.0
    window: float = np.inf

    def behind(self, law: Floats) -> Floats:
        """Return a law's parameter vector with these tables behind it (`step_time`)."""
        from framework_twin.physics.step_time import PARAMETERS

        vector = law.copy()
        vector[PARAMETERS.index("table_points")] = len(self.tokens)
        window = self.window if np.isfinite(self.window) else 1e15
        columns = (self.tokens, self.products_s, self.attend_s, self.context_s, self.window_s)
        return np.concatenate([vector, [window, self.window_pair_s], *columns]).astype(np.float64)

    def plain(self) -> dict[str, Any]:
        """Return the tables as numbers and lists that JSON can hold."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        values["window"] = None if np.isinf(self.window) else self.window
        return {
            name: item.tolist() if isinstance(item, np.ndarray) else item for name, item in values.items()
        }

    @classmethod
    def of_plain(cls, values: Mapping[str, Any]) -> StepTables:
        """Return the tables that `plain` made."""
        window = np.inf if values["window"] is None else values["window"]
        arrays = {
            name: np.asarray(item, np.float64) for name, item in values.items() if isinstance(item, list)
        }
        return cls(**{**values, **arrays, "window": window})
