"""Write bfloat16 tensors as a safetensors file, one tensor in memory at a time, without torch.

Format: an unsigned 64-bit little-endian length, a JSON header of that length (name to dtype, shape and byte
range), then the tensors' bytes (huggingface/safetensors, README "Format"). NumPy has no bfloat16: values are
drawn in float32 and rounded to their upper 16 bits.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Shape = tuple[int, ...]
_BFLOAT16_BYTES = 2
_ALIGNMENT = 8


def write_bfloat16(
    path: Path, shapes: Mapping[str, Shape], fill: Callable[[str, Shape], npt.NDArray[np.float32]]
) -> None:
    """Write the tensors of `shapes`; `fill` returns each one's values in turn.

    Raises `ValueError` if `fill` returns another shape than asked for.
    """
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, shape in shapes.items():
        start, end = end, end + prod(shape) * _BFLOAT16_BYTES
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    with path.open("wb") as stream:
        stream.write(len(text).to_bytes(8, "little") + text)
        for name, shape in shapes.items():
            values = fill(name, shape)
            if values.shape != shape:
                raise ValueError(f"tensor {name}: filled with shape {values.shape}, declared {shape}")
            stream.write(bfloat16_bits(values).tobytes())


def bfloat16_bits(values: npt.NDArray[np.float32]) -> npt.NDArray[np.uint16]:
    """Return float32 values rounded to the nearest bfloat16 (ties to even), as their 16 bits; no NaN allowed."""
    import numpy as np

    bits = np.ascontiguousarray(values, dtype="<f4").view("<u4")
    rounded = bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
    return (rounded >> np.uint32(16)).astype("<u2")
