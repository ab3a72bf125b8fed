"""Detection models of torchvision, with weights from disk or none; nothing is downloaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from framework.errors import ConfigError, InputError, one_line


def torchvision_model(model: str, classes: int, weights: Path | None, key: str) -> Any:
    """Return a detection model of torchvision in evaluation mode, without any download.

    Raises:
        ConfigError: torchvision is missing or knows no such model.
        InputError: the weights don't fit it.
    """
    try:
        import torch
        from torchvision.models import detection
    except (ImportError, RuntimeError) as error:
        raise ConfigError(
            f"configuration key '{key}': torchvision can't be imported ({one_line(error)}); it must fit the"
            " PyTorch that is installed"
        ) from error
    builder = getattr(detection, model, None)
    if builder is None:
        raise ConfigError(f"configuration key '{key}.model': torchvision.models.detection has no '{model}'")
    network = builder(weights=None, weights_backbone=None, num_classes=classes)
    if weights is not None:
        try:
            network.load_state_dict(torch.load(weights, weights_only=True))
        except Exception as error:
            raise InputError(f"{key}.weights: {weights} doesn't fit {model}: {one_line(error)}") from error
    return network.eval()
