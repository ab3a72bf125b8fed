"""Stage *student*: trains a `GridNetwork`, keeps its state where a killed training finds it, and detects."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from framework.errors import ConfigError
from framework_cova.boxes import Boxes

Image = npt.NDArray[np.uint8]
LEAST_SCORE = 0.05  # a detection below is never reported


class GridStudent:
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
        self._network: Any = None

    def start(self, seed: int) -> None:
        """Begin with fresh weights."""
        import torch

        from framework_cova.student.grid_network import GridNetwork

        torch.set_num_threads(self.threads)
        torch.manual_seed(seed)
        self._network = GridNetwork(self.classes, self.channels).eval()

    def state(self) -> Any:
        """Return the weights, independent of further training."""
        return {name: value.detach().clone() for name, value in self._network.state_dict().items()}

    def restore(self, state: Any) -> None:
        """Take weights back."""
        if self._network is None:
            self.start(0)
        self._network.load_state_dict(state)
        self._network.eval()

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

        from framework_cova.student.grid_network import STRIDE, as_tensor, loss, targets

        torch.set_num_threads(self.threads)
        network = self._network.train()
        if self.freeze:
            network.body.eval()
        trained = network.head.parameters() if self.freeze else network.parameters()
        optimizer = torch.optim.AdamW(trained, lr=self.learning_rate, weight_decay=1e-4)
        begun = self._resume(checkpoint, optimizer)
        stacked = as_tensor(images)
        rows, columns = stacked.shape[2] // STRIDE, stacked.shape[3] // STRIDE
        for step in range(begun, steps):
            rng = np.random.default_rng([seed, step])
            chosen = rng.integers(0, len(images), self.batch)
            batch, truth = _varied(stacked[chosen], [labels[index] for index in chosen], rng)
            for group in optimizer.param_groups:
                warm = min(1.0, (step + 1) / 10)
                # a plain float: a checkpoint with anything else is refused when it is read
                group["lr"] = float(self.learning_rate * warm * 0.5 * (1 + np.cos(np.pi * step / steps)))
            value = loss(network(batch), *targets(truth, self.classes, rows, columns))
            optimizer.zero_grad()
            value.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 10.0)
            optimizer.step()
            if checkpoint is not None and (step + 1) % every == 0 and step + 1 < steps:
                written = {
                    "step": step + 1,
                    "weights": network.state_dict(),
                    "optimizer": optimizer.state_dict(),
                }
                write_whole(checkpoint, written)
            progress((step + 1) / steps)
        network.eval()
        if checkpoint is not None:
            checkpoint.unlink(missing_ok=True)
        return begun

    def _resume(self, checkpoint: Path | None, optimizer: Any) -> int:
        kept = read_checkpoint(checkpoint)
        if kept is None:
            return 0
        self._network.load_state_dict(kept["weights"])
        optimizer.load_state_dict(kept["optimizer"])
        return int(kept["step"])

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


def _same_size(images: Sequence[Image], most: int) -> list[tuple[int, int]]:
    """Return ranges of neighbours of one size, at most `most` long."""
    found = []
    begin = 0
    for index in range(1, len(images) + 1):
        if index == len(images) or index - begin == most or images[index].shape != images[begin].shape:
            found.append((begin, index))
            begin = index
    return found


def _varied(batch: Any, labels: list[Boxes], rng: np.random.Generator) -> tuple[Any, list[Boxes]]:
    """Return the batch mirrored by chance, and brighter or darker: the same objects under other conditions."""
    import torch

    width = batch.shape[3]
    images, truth = [], []
    for image, boxes in zip(batch, labels, strict=True):
        if rng.random() < 0.5:
            image = image.flip(2)
            flipped = boxes.xyxy[:, [2, 1, 0, 3]] * np.array([-1, 1, -1, 1], np.float32)
            boxes = boxes.moved(flipped + np.array([width, 0, width, 0], np.float32))
        images.append((image * float(rng.uniform(0.8, 1.2))).clamp(0, 1))
        truth.append(boxes)
    return torch.stack(images), truth
