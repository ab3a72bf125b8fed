"""The loop that trains a network batch by batch, and the checkpoints from which a killed training goes on."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

WARM_STEPS = 10  # over which the learning rate rises to its highest
MOST_NORM = 10.0  # to which the gradient is cut


def train_batches(
    network: Any,
    optimizer: Any,
    batch_loss: Callable[[int], Any],
    steps: int,
    highest_rate: float,
    checkpoint: Path | None,
    every: int,
    progress: Callable[[float], None],
) -> int:
    """Train a network in place and leave it in evaluation mode; return the step it was resumed at.

    Args:
        batch_loss: the loss of the batch of a step, which depends on the number of the step and the weights alone, so
            that a training that was killed and is resumed gives the same weights.
        highest_rate: the learning rate, which rises to it and then falls along a cosine.
        checkpoint: written each `every` steps, removed at the end; null: none.
    """
    import torch

    begun = _resumed(network, optimizer, checkpoint)
    for step in range(begun, steps):
        warm = min(1.0, (step + 1) / WARM_STEPS)
        for group in optimizer.param_groups:
            # a plain float: a checkpoint with anything else is refused when it is read
            group["lr"] = float(highest_rate * warm * 0.5 * (1 + np.cos(np.pi * step / steps)))
        value = batch_loss(step)
        optimizer.zero_grad()
        value.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), MOST_NORM)
        optimizer.step()
        if checkpoint is not None and (step + 1) % every == 0 and step + 1 < steps:
            state = {"step": step + 1, "weights": network.state_dict(), "optimizer": optimizer.state_dict()}
            write_whole(checkpoint, state)
        progress((step + 1) / steps)
    network.eval()
    if checkpoint is not None:
        checkpoint.unlink(missing_ok=True)
    return begun


def _resumed(network: Any, optimizer: Any, checkpoint: Path | None) -> int:
    kept = read_checkpoint(checkpoint)
    if kept is None:
        return 0
    network.load_state_dict(kept["weights"])
    optimizer.load_state_dict(kept["optimizer"])
    return int(kept["step"])


def read_checkpoint(file: Path | None) -> Any:
    """Return what `write_whole` wrote; None where there is no such file or it can't be read."""
    import torch

    if file is None or not file.is_file():
        return None
    try:
        return torch.load(file, weights_only=True)
    except Exception:  # torn, or of another kind
        return None


def write_whole(file: Path, content: Any) -> None:
    """Write what `torch.save` can, whole or not at all."""
    import torch

    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f"{file.name}.{os.getpid()}.partial")
    torch.save(content, partial)
    partial.replace(file)


class TrainedNetwork:
    """What students that hold one PyTorch network share: their weights in memory and on disk."""

    _network: Any = None

    def start(self, seed: int) -> None:
        """Begin with fresh weights."""
        raise NotImplementedError

    def state(self) -> Any:
        """Return the weights, independent of further training."""
        return {name: value.detach().clone() for name, value in self._network.state_dict().items()}

    def restore(self, state: Any) -> None:
        """Take weights back."""
        if self._network is None:
            self.start(0)
        self._network.load_state_dict(state)
        self._network.eval()

    def save(self, file: Path) -> None:
        """Write the weights, whole or not at all."""
        write_whole(file, self.state())

    def load(self, file: Path) -> bool:
        """Take weights from a file; False where it is missing or can't be read."""
        kept = read_checkpoint(file)
        if kept is None:
            return False
        self.restore(kept)
        return True
