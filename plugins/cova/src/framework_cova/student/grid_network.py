"""A small detector in PyTorch: a heat map of centres for each class, and the size at each centre.

After CenterNet (Zhou et al., "Objects as Points", 2019), shrunk to what two cores train in seconds:
four convolutions, one output cell for each 8 × 8 pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from framework_cova.boxes import Boxes

STRIDE = 8  # pixels of a cell
MAX_FOUND = 60  # detections of a frame


class GridNetwork(nn.Module):
    """Images (n, 3, height, width) in 0–1 to maps (n, classes + 4, height / 8, width / 8).

    The last four are the logarithms of the object's width and height in cells, and the offset of its centre from the
    cell's, in cells.
    """

    def __init__(self, classes: int, width: int) -> None:
        super().__init__()
        self.classes, self.channels = classes, width

        def block(inside: int, out: int, side: int, stride: int) -> nn.Sequential:
            pad = 0 if side == stride else 1
            return nn.Sequential(
                nn.Conv2d(inside, out, side, stride, pad, bias=False),
                nn.BatchNorm2d(out),
                nn.ReLU(inplace=True),
            )

        self.body = nn.Sequential(
            block(3, width, 4, 4),
            block(width, 2 * width, 3, 2),
            block(2 * width, 2 * width, 3, 1),
            block(2 * width, 2 * width, 3, 1),
        )
        self.head = nn.Conv2d(2 * width, classes + 4, 1)
        with torch.no_grad():
            self.head.bias[:classes] = -3.5  # most cells hold no centre

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """See the class."""
        found: torch.Tensor = self.head(self.body(images - 0.45))
        return found


def stacked(images: Sequence[Any]) -> torch.Tensor:
    """Return frames (height, width, 3) of one size as one tensor of bytes, padded to whole cells."""
    frames = torch.from_numpy(np.stack(images))
    height, width = frames.shape[1:3]
    return functional.pad(frames, (0, 0, 0, -width % STRIDE, 0, -height % STRIDE))


def as_tensor(images: Sequence[Any]) -> torch.Tensor:
    """Return frames of one size as the network takes them: (n, 3, height, width) in 0–1, padded to whole cells."""
    return stacked(images).permute(0, 3, 1, 2).float().div_(255)


def varied(
    frames: torch.Tensor, labels: Sequence[Boxes], rng: np.random.Generator
) -> tuple[torch.Tensor, list[Boxes]]:
    """Return a batch for the network, mirrored by chance, and brighter or darker: the same objects in another light.

    Args:
        frames: of `stacked`, a copy that may be written to.
    """
    width = frames.shape[2]
    mirrored = rng.random(len(frames)) < 0.5
    light = rng.uniform(0.8, 1.2, (len(frames), 1, 1, 1)).astype(np.float32)
    truth = list(labels)
    for index in np.flatnonzero(mirrored):
        frames[index] = frames[index].flip(1)
        corners = truth[index].xyxy[:, [2, 1, 0, 3]] * np.array([-1, 1, -1, 1], np.float32)
        truth[index] = truth[index].moved(corners + np.array([width, 0, width, 0], np.float32))
    batch = frames.float().mul_(torch.from_numpy(light / 255)).clamp_(max=1)
    return batch.permute(0, 3, 1, 2), truth


def targets(
    labels: Sequence[Boxes], classes: int, rows: int, columns: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return heat (n, classes, rows, columns) in 0–1, sizes (n, 4, rows, columns), and where sizes count.

    Each object is a Gaussian around its centre, as wide as a sixth of the object, 1 at the cell of the centre.
    """
    heat = np.zeros((len(labels), classes, rows, columns), np.float32)
    sizes = np.zeros((len(labels), 4, rows, columns), np.float32)
    counts = np.zeros((len(labels), 1, rows, columns), np.float32)
    y, x = np.mgrid[0:rows, 0:columns]
    for frame, boxes in enumerate(labels):
        for box, label in zip(boxes.xyxy, boxes.label, strict=True):
            side = np.maximum(box[2:] - box[:2], 1) / STRIDE
            centre = (box[:2] + box[2:]) / 2 / STRIDE
            column, row = min(int(centre[0]), columns - 1), min(int(centre[1]), rows - 1)
            if row < 0 or column < 0 or not 0 <= label < classes:
                continue
            spread = np.maximum(side / 6, 0.35)
            bump = np.exp(-((x - column) ** 2) / (2 * spread[0] ** 2) - (y - row) ** 2 / (2 * spread[1] ** 2))
            heat[frame, label] = np.maximum(heat[frame, label], bump)
            sizes[frame, :, row, column] = [*np.log(side), centre[0] - column - 0.5, centre[1] - row - 0.5]
            counts[frame, 0, row, column] = 1
    return torch.from_numpy(heat), torch.from_numpy(sizes), torch.from_numpy(counts)


def loss(maps: torch.Tensor, heat: torch.Tensor, sizes: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """Return the penalty-reduced focal loss of the heat map plus the absolute error of sizes at centres."""
    classes = heat.shape[1]
    logits = maps[:, :classes]
    share = torch.sigmoid(logits)
    peak = (heat > 0.999).float()
    near = functional.logsigmoid(logits) * (1 - share) ** 2 * peak
    far = functional.logsigmoid(-logits) * share**2 * (1 - heat) ** 4 * (1 - peak)
    number = peak.sum().clamp(min=1)
    wrong = ((maps[:, classes:] - sizes).abs() * counts).sum()
    return -(near + far).sum() / number + wrong / number


def decode(maps: torch.Tensor, classes: int, least: float) -> list[Boxes]:
    """Return detections of each frame: peaks of the heat map above `least`, best first."""
    heat = torch.sigmoid(maps[:, :classes])
    peaks = heat * (functional.max_pool2d(heat, 3, 1, 1) == heat)
    _, _, _rows, columns = peaks.shape
    values, places = peaks.flatten(1).topk(min(MAX_FOUND, peaks[0].numel()))
    found = []
    cells = columns * _rows
    for frame in range(len(maps)):
        keep = values[frame] >= least
        at = places[frame][keep]
        label, cell = at // cells, at % cells
        row, column = cell // columns, cell % columns
        values_at = maps[frame, classes:, row, column]
        half = values_at[:2].clamp(-3, 4).exp() * STRIDE / 2
        x = (column + 0.5 + values_at[2].clamp(-1, 1)) * STRIDE
        y = (row + 0.5 + values_at[3].clamp(-1, 1)) * STRIDE
        xyxy = torch.stack([x - half[0], y - half[1], x + half[0], y + half[1]], dim=1)
        found.append(Boxes.of(xyxy.numpy(), label.numpy(), values[frame][keep].numpy()))
    return found


def multiply_adds(network: GridNetwork, height: int, width: int) -> int:
    """Return multiplications with addition of one frame."""
    total = 0
    rows, columns = -(-height // STRIDE) * STRIDE, -(-width // STRIDE) * STRIDE
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            step = module.stride[0]
            rows, columns = rows // step, columns // step
            kernel = module.kernel_size[0] * module.kernel_size[1]
            total += rows * columns * kernel * module.in_channels * module.out_channels
    return total
