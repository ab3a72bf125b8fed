"""Random LoRA adapters of any rank for a model, as PEFT writes them: what a study of adapter serving loads.

Serving cost depends on ranks and dimensions, not on the weights' values, so random weights measure the same
as trained ones. They are strong enough to change what the model says, so that a test can see which adapter
answered. Files are a function of model, rank and seed, and are kept: a second run finds them.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from framework.errors import ConfigError, UserError
from framework_vllm.models.adapted_model import AdaptedModel
from framework_vllm.models.safetensors_file import Shape, write_bfloat16

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"


def write_adapters(
    model: AdaptedModel, ranks: Mapping[int, int], folder: Path, *, seed: int = 0, distinct: int | None = None
) -> dict[int, Path]:
    """Make sure that `folder` holds one adapter for each entry of `ranks`; return adapter id to its folder.

    Args:
        model: the matrices to adapt.
        ranks: adapter id to LoRA rank.
        folder: where the adapters' folders go, one for each model's dimensions.
        seed: another seed gives other weights.
        distinct: adapters of one rank with weights of their own; further ones repeat these under their own
            name, as hard links where the file system has them. None: all are distinct. An engine loads and
            contains a repeated adapter like any other.

    Raises:
        ConfigError: a rank below 1.
        UserError: the disk has no room for them.
    """
    planned = [
        _planned(folder / _dimensions_hash(model), identity, rank, number, seed, distinct)
        for (identity, rank), number in zip(sorted(ranks.items()), _numbers(ranks), strict=True)
    ]
    _check_room(model, [adapter for adapter in planned if adapter.missing and adapter.source is None], folder)
    for adapter in planned:
        if adapter.missing:
            _write_one(model, adapter)
    return {adapter.identity: adapter.folder for adapter in planned}


def adapter_bytes(model: AdaptedModel, rank: int) -> int:
    """Return the size of one adapter's weights: rank · Σ (inputs + outputs) · 2 bytes over all matrices."""
    return 2 * model.layers * rank * sum(sum(dimensions) for dimensions in model.matrices.values())


@dataclass(frozen=True)
class _Adapter:
    """One adapter to be there: its folder, and the folder whose weights it repeats, if it repeats any."""

    identity: int
    rank: int
    number: int
    seed: int
    folder: Path
    source: Path | None

    @property
    def missing(self) -> bool:
        return not (self.folder / CONFIG).is_file()


def _numbers(ranks: Mapping[int, int]) -> Iterator[int]:
    """Yield each adapter's number among those of its rank, in order of the ids."""
    seen: Counter[int] = Counter()
    for identity, rank in sorted(ranks.items()):
        if rank < 1:
            raise ConfigError(f"workload.ranks: adapter {identity} has rank {rank}, at least 1 is needed")
        yield seen[rank]
        seen[rank] += 1


def _planned(place: Path, identity: int, rank: int, number: int, seed: int, distinct: int | None) -> _Adapter:
    own = f"r{rank}_n{number}_s{seed}"
    if distinct is None or number < distinct:
        return _Adapter(identity, rank, number, seed, place / own, None)
    repeated = number % distinct
    source = place / f"r{rank}_n{repeated}_s{seed}"
    return _Adapter(identity, rank, number, seed, place / f"{own}_as{repeated}", source)


def _write_one(model: AdaptedModel, adapter: _Adapter) -> None:
    """Write under a temporary name and rename: a folder of that name is whole, even if another process writes it."""
    place = adapter.folder.parent
    place.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=place))
    try:
        if adapter.source is not None:
            _link(adapter.source / WEIGHTS, draft / WEIGHTS)
        else:
            weights = _Weights([adapter.seed, adapter.rank, adapter.number])
            write_bfloat16(draft / WEIGHTS, _shapes(model, adapter.rank), weights)
        (draft / CONFIG).write_text(json.dumps(_peft_config(model, adapter.rank), indent=1), encoding="utf-8")
        draft.chmod(0o755)
        try:
            draft.rename(adapter.folder)
        except OSError:
            if adapter.missing:  # otherwise another process was first, with the same bytes
                raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


class _Weights:
    """Values whose product B·A is of the size of the model's own matrices: A ~ N(0, 1/inputs), B ~ N(0, 1/rank)."""

    def __init__(self, seeds: list[int]) -> None:
        import numpy as np

        self._random = np.random.default_rng(seeds)

    def __call__(self, name: str, shape: Shape) -> npt.NDArray[np.float32]:
        import numpy as np

        drawn = self._random.standard_normal(shape, dtype=np.float32)
        scaled: npt.NDArray[np.float32] = drawn * np.float32(shape[1] ** -0.5)
        return scaled


def _shapes(model: AdaptedModel, rank: int) -> dict[str, Shape]:
    shapes: dict[str, Shape] = {}
    for layer in range(model.layers):
        for path, (outputs, inputs) in model.matrices.items():
            prefix = f"base_model.model.{model.layers_path}.{layer}.{path}"
            shapes[f"{prefix}.lora_A.weight"] = (rank, inputs)
            shapes[f"{prefix}.lora_B.weight"] = (outputs, rank)
    return shapes


def _peft_config(model: AdaptedModel, rank: int) -> dict[str, object]:
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "r": rank,
        "lora_alpha": 2 * rank,
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": model.targets,
        "base_model_name_or_path": "",
    }


def _dimensions_hash(model: AdaptedModel) -> str:
    text = json.dumps([model.layers_path, model.layers, sorted(model.matrices.items())])
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _check_room(model: AdaptedModel, adapters: Sequence[_Adapter], folder: Path) -> None:
    needed = sum(adapter_bytes(model, adapter.rank) for adapter in adapters)
    above = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    free = shutil.disk_usage(above).free
    if needed > free:
        raise UserError(
            f"{len(adapters)} adapters need {needed / 2**30:.1f} GiB below {folder}, {free / 2**30:.1f} GiB are free;"
            " let adapters of one rank share their weights"
        )


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without hard links
        shutil.copyfile(source, target)
