"""What a GPU can hold, asked of the learned model for many sets of adapters at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from framework.errors import UserError
from framework_serving.advice.capacity.adapter_sums import Adapters, FloatArray, IntArray
from framework_serving.advice.capacity.capacity_features import CapacityRows
from framework_serving.advice.capacity.capacity_model import CapacityModel
from framework_serving.advice.capacity.engine_probes import EngineProbe

TOO_FEW = "there are too few GPUs of all types together for these adapters"
SLOT_CHOICES = (4, 8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384)


@dataclass(frozen=True)
class GpuType:
    """A GPU that can be had, with the engine that it runs.

    Attributes:
        name: how it is called.
        cost: of one, in any unit.
        engine: its probe.
        available: how many there are; None: as many as needed.
    """

    name: str
    cost: float
    engine: EngineProbe
    available: int | None = None


@dataclass(frozen=True)
class Packer:
    """Asks a model what fits.

    Attributes:
        model: what was learned.
        crowd: arrivals that all adapters have in common, see `Adapters`.
        fill: name of a GPU type → share of the learned capacity that may be used.
    """

    model: CapacityModel
    crowd: tuple[float, float]
    fill: dict[str, float]

    def best_slots(self, kind: GpuType, sums: FloatArray, rank: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return (slots, load / capacity) of each set with its best number of slots; infinite where none starts.

        Args:
            kind: the GPU.
            sums: summed `Adapters.sums` of each set, shape (sets, 11).
            rank: largest rank of each, shape (sets,).
        """
        most = kind.engine.most_slots(float(rank.max()))
        choices = [item for item in SLOT_CHOICES if item <= max(most, SLOT_CHOICES[0])]
        if most and most < SLOT_CHOICES[0]:
            choices = [most]
        # more slots than adapters only cost memory: the first choice that holds all is the last of use
        useful = [item for item in choices if item < sums[:, 0].max()]
        choices = choices[: len(useful) + 1]
        per = len(choices)
        ladder = np.tile(np.array(choices, dtype=np.float64), len(sums))
        rows = CapacityRows.build(
            np.repeat(sums, per, axis=0), np.repeat(rank, per), self.crowd, ladder, kind.engine
        )
        capacity = self.fill.get(kind.name, 1.0) * self.model.capacity_tok_s(rows)
        with np.errstate(divide="ignore"):
            ratio = np.where(capacity > 0, rows.load_tok_s / np.maximum(capacity, 1e-12), np.inf)
        ratio = ratio.reshape(len(sums), per)
        best = np.argmin(ratio, axis=1)
        slots = np.minimum(np.array(choices)[best], np.maximum(sums[:, 0], 1))
        return slots, ratio[np.arange(len(sums)), best]

    def fits(self, kind: GpuType, adapters: Adapters) -> tuple[int, float]:
        """Return (slots, load / capacity) of one set; a ratio above 1 does not fit.

        An adapter without a rate counts with its rank, which sets the size of every slot, and with nothing else.
        """
        rank, busy = float(adapters.rank.max()), adapters.some(adapters.rate_rps > 0)
        if not len(busy):
            most = kind.engine.most_slots(rank)
            return min(SLOT_CHOICES[0], len(adapters), most), 0.0 if most else np.inf
        slots, ratio = self.best_slots(kind, busy.sums().sum(axis=0)[None], np.array([rank]))
        return int(slots[0]), float(ratio[0])


def rank_refused(adapter: int, rank: float, kinds: Sequence[GpuType]) -> UserError:
    """Return the error for an adapter with whose rank no engine starts, or of whose rank none was learned."""
    known = max(max(kind.engine.kv_tokens, default=0) for kind in kinds)
    if rank > known:
        return UserError(
            f"adapter {adapter}: its rank {rank:g} is above those that were learned from (up to {known})"
        )
    names, first = ", ".join(kind.name for kind in kinds), kinds[0].engine
    why = first.refusals.get(first.usable_rank(rank) or 0, "no memory is left")
    return UserError(
        f"adapter {adapter}: no engine on {names} starts with a slot of its rank {rank:g} ({why})"
    )


def one_more(
    packer: Packer,
    kinds: Sequence[GpuType],
    hardware: Sequence[GpuType],
    sets: Sequence[IntArray],
    adapters: Adapters,
) -> GpuType:
    """Return the cheapest type that fits some adapters and of which one more can be had.

    Args:
        packer: asks the model.
        kinds: types that can be had.
        hardware, sets: GPUs of the plan so far; one with an empty set is given up.
        adapters: to be placed there.

    Raises:
        UserError: all fitting ones are used.
    """
    used = [kind.name for kind, chosen in zip(hardware, sets, strict=True) if len(chosen)]
    free = [kind for kind in kinds if kind.available is None or used.count(kind.name) < kind.available]
    fitting = [kind for kind in free if packer.fits(kind, adapters)[1] <= 1]
    if not fitting:
        raise UserError(TOO_FEW)
    return min(fitting, key=lambda kind: kind.cost)
