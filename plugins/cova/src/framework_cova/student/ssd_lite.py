"""Stage *student*: torchvision's SSD-lite with MobileNet-V3, from weights on disk or from scratch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from framework_cova.boxes import Boxes
from framework_cova.stages import Image
from framework_cova.student.batch_loop import TrainedNetwork, train_batches
from framework_cova.student.grid_student import LEAST_SCORE


class SsdLiteStudent(TrainedNetwork):
    """`ssdlite320_mobilenet_v3_large`; its own class 0 is the background. Far slower to train than the grid student.

    Args:
        weights: a state dictionary for this number of classes to start from; null: random.
        classes, threads, batch, learning_rate: as of `GridStudent`.
    """

    def __init__(
        self,
        weights: str | None = None,
        classes: int = 3,
        threads: int = 1,
        batch: int = 4,
        learning_rate: float = 0.002,
    ) -> None:
        self.weights, self.classes, self.threads = weights, classes, threads
        self.batch, self.learning_rate = batch, learning_rate

    def start(self, seed: int) -> None:
        """Begin with the weights of the file, or fresh ones. Raises `ConfigError` without torchvision."""
        import torch

        from framework_cova.student.torchvision_models import torchvision_model

        torch.manual_seed(seed)
        torch.set_num_threads(self.threads)
        file = Path(self.weights) if self.weights else None
        model = "ssdlite320_mobilenet_v3_large"
        self._network = torchvision_model(model, self.classes + 1, file, "backend.student")

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
        """See `Student`."""
        if steps <= 0 or not len(images):
            return 0
        import torch

        torch.set_num_threads(self.threads)
        network = self._network.train()
        optimizer = torch.optim.AdamW(network.parameters(), lr=self.learning_rate, weight_decay=1e-4)

        def batch_loss(step: int) -> Any:
            chosen = np.random.default_rng([seed, step]).integers(0, len(images), self.batch)
            truth = [
                {
                    "boxes": torch.from_numpy(labels[index].xyxy),
                    "labels": torch.from_numpy(labels[index].label + 1),
                }
                for index in chosen
            ]
            return sum(network([_tensor(images[index]) for index in chosen], truth).values())

        return train_batches(
            network, optimizer, batch_loss, steps, self.learning_rate, checkpoint, every, progress
        )

    def detect(self, images: Sequence[Image]) -> list[Boxes]:
        """See `Student`."""
        import torch

        found = []
        with torch.inference_mode():
            for image in images:
                one = self._network([_tensor(image)])[0]
                sure = one["scores"] >= LEAST_SCORE
                boxes = Boxes.of(
                    one["boxes"][sure].numpy(), one["labels"][sure].numpy() - 1, one["scores"][sure].numpy()
                )
                found.append(boxes.clipped(image.shape[1], image.shape[0]))
        return found

    def flops(self, height: int, width: int) -> float:
        """Return operations of the convolutions on one frame, which the model itself brings to 320 × 320."""
        import torch
        from torch import nn

        total = 0

        def count(module: Any, given: Any, out: Any) -> None:
            nonlocal total
            total += 2 * out.numel() * module.weight[0].numel()

        hooks = [
            one.register_forward_hook(count) for one in self._network.modules() if isinstance(one, nn.Conv2d)
        ]
        with torch.inference_mode():
            self._network([torch.zeros(3, height, width)])
        for hook in hooks:
            hook.remove()
        return float(total)


def _tensor(image: Image) -> Any:
    import torch

    return torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1).float() / 255
