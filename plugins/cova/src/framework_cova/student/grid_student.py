"""Stage *student*: trains a `GridNetwork`, keeps its state where a killed training finds it, and detects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from framework.errors import ConfigError
from framework_cova.boxes import Boxes
from framework_cova.stages import Image
from framework_cova.student.batch_loop import TrainedNetwork, train_batches

LEAST_SCORE = 0.05  # a detection below is never reported


class GridStudent(TrainedNetwork):
    """A small detector trained on two cores in seconds.

    Args:
        classes: number of classes.
        channels: of the first layer; cost grows with its square.
        learning_rate: highest; falls along a cosine within each training.
        batch: frames of a step.
        freeze: train the head alone.
        threads: of PyTorch; a network this small gains nothing from a second.
    """

    def __init__(
        self,
        classes: int = 3,
        channels: int = 16,
        learning_rate: float = 0.004,
        batch: int = 8,
        freeze: bool = False,
        threads: int = 1,
    ) -> None:
        for key, value in (
            ("channels", channels),
            ("batch", batch),
            ("threads", threads),
            ("classes", classes),
        ):
            if value < 1:
                raise ConfigError(
                    f"configuration key 'backend.student.{key}': must be at least 1, got {value}"
                )
        if learning_rate <= 0:
            raise ConfigError(
                f"configuration key 'backend.student.learning_rate': must be above 0, got {learning_rate}"
            )
        self.classes, self.channels, self.learning_rate = classes, channels, learning_rate
        self.batch, self.freeze, self.threads = batch, freeze, threads

    def start(self, seed: int) -> None:
        """Begin with fresh weights."""
        import torch

        from framework_cova.student.grid_network import GridNetwork

        torch.set_num_threads(self.threads)
        torch.manual_seed(seed)
        network = GridNetwork(self.classes, self.channels).eval()
        # as frames lie in memory
        self._network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def train(
        self,
        images: Sequence[Image],
        labels: Sequence[Boxes],
        steps: int,
        seed: int,
        checkpoint: Path | None = None,
        every: int = 25,
        progress: Callable[[float], None] = lambda share: None,
    ) -> int:
        """Train further from the present weights; return the step it was resumed at (0: from the beginning).

        The same images, labels, steps and seed give the same weights, also where a training was killed and is resumed
        from `checkpoint`, which is written each `every` steps and removed at the end.
        """
        if steps <= 0 or not len(images):
            return 0
        import torch

        from framework_cova.student.grid_network import STRIDE, loss, stacked, targets, varied

        torch.set_num_threads(self.threads)
        network = self._network.train()
        if self.freeze:
            network.body.eval()
        trained = network.head.parameters() if self.freeze else network.parameters()
        optimizer = torch.optim.AdamW(trained, lr=self.learning_rate, weight_decay=1e-4, fused=True)
        frames = stacked(images)
        rows, columns = frames.shape[1] // STRIDE, frames.shape[2] // STRIDE

        def batch_loss(step: int) -> Any:
            rng = np.random.default_rng([seed, step])
            chosen = rng.integers(0, len(images), self.batch)
            batch, truth = varied(frames[chosen], [labels[index] for index in chosen], rng)
            return loss(network(batch), *targets(truth, self.classes, rows, columns))

        return train_batches(
            network, optimizer, batch_loss, steps, self.learning_rate, checkpoint, every, progress
        )

    def detect(self, images: Sequence[Image]) -> list[Boxes]:
        """Return detections of each frame; frames may differ in size."""
        import torch

        from framework_cova.student.grid_network import as_tensor, decode

        torch.set_num_threads(self.threads)
        found: list[Boxes] = []
        with torch.inference_mode():
            for begin, end in _same_size(images, 16):
                maps = self._network(as_tensor(images[begin:end]))
                height, width = images[begin].shape[:2]
                found += [one.clipped(width, height) for one in decode(maps, self.classes, LEAST_SCORE)]
        return found

    def flops(self, height: int, width: int) -> float:
        """Return floating-point operations of one frame: two for each multiplication with addition."""
        from framework_cova.student.grid_network import multiply_adds

        return 2.0 * multiply_adds(self._network, height, width)


def _same_size(images: Sequence[Image], most: int) -> list[tuple[int, int]]:
    """Return ranges of neighbours of one size, at most `most` long."""
    found = []
    begin = 0
    for index in range(1, len(images) + 1):
        if index == len(images) or index - begin == most or images[index].shape != images[begin].shape:
            found.append((begin, index))
            begin = index
    return found
