"""Teachers from a file of weights on this machine; nothing is downloaded."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from framework.errors import ConfigError, InputError, one_line
from framework_cova.boxes import Boxes
from framework_cova.stages import Frame, TeacherError
from framework_cova.student.torchvision_models import torchvision_model


class _Weights:
    def __init__(self, weights: str | None, class_ids: Sequence[int] | None) -> None:
        if not weights:
            raise ConfigError("configuration key 'backend.annotate.weights': name a file of weights")
        self._file = Path(weights)
        if not self._file.is_file():
            raise InputError(f"backend.annotate.weights: no file {weights}")
        self._class_ids = list(class_ids) if class_ids is not None else None
        self._digest = hashlib.sha256(self._file.read_bytes()).hexdigest()[:16]

    def _ours(self, xyxy: Any, labels: Any, scores: Any, shape: tuple[int, ...]) -> Boxes:
        """Return boxes with our classes: the position of the model's class in `class_ids`; others are left out."""
        found = Boxes.of(xyxy, np.asarray(labels).astype(np.int64), scores)
        if self._class_ids is not None:
            place = {number: index for index, number in enumerate(self._class_ids)}
            found = found.chosen(np.array([int(label) in place for label in found.label], bool))
            label = np.array([place[int(label)] for label in found.label], np.int64)
            found = Boxes(found.xyxy, label, found.score, found.ident, found.moving)
        return found.clipped(shape[1], shape[0])

    def identity(self) -> Mapping[str, Any]:
        """See `Annotator`."""
        return {"teacher": type(self).__name__, "weights": self._file.name, "digest": self._digest}


class OnnxAnnotator(_Weights):
    """A detector as an ONNX file, run by ONNX Runtime on the CPU.

    It takes one image (1, 3, height, width), 0–1, and returns `boxes` (n, 4), `labels` (n) and `scores` (n), in this
    order or by these names.

    Args:
        weights: the file.
        class_ids: number in the model of each of our classes; null: the same numbers.
    """

    def __init__(self, weights: str | None = None, class_ids: Sequence[int] | None = None) -> None:
        super().__init__(weights, class_ids)
        import onnxruntime

        try:
            self._session = onnxruntime.InferenceSession(str(self._file), providers=["CPUExecutionProvider"])
        except Exception as error:
            raise InputError(
                f"backend.annotate.weights: {self._file} is no ONNX model: {one_line(error)}"
            ) from error

    def label(self, frame: Frame) -> Boxes:
        """See `Annotator`."""
        image = (frame.image.astype(np.float32) / 255).transpose(2, 0, 1)[None]
        try:
            found = self._session.run(None, {self._session.get_inputs()[0].name: image})
        except Exception as error:
            raise TeacherError(one_line(error)) from error
        names = [one.name for one in self._session.get_outputs()]
        order = ("boxes", "labels", "scores")
        places = [names.index(name) for name in order] if set(order) <= set(names) else [0, 1, 2]
        boxes, labels, scores = (found[place] for place in places)
        return self._ours(boxes, labels, scores, frame.image.shape)


class TorchvisionAnnotator(_Weights):
    """A detection model of torchvision with weights from a file.

    Args:
        weights: a state dictionary written by `torch.save`.
        model: name in `torchvision.models.detection`.
        class_ids: number in the model of each of our classes (COCO: person 1, car 3, truck 8).
        model_classes: number of classes of the model, its background included.
    """

    def __init__(
        self,
        weights: str | None = None,
        model: str = "fasterrcnn_mobilenet_v3_large_320_fpn",
        class_ids: Sequence[int] | None = (1, 3, 8),
        model_classes: int = 91,
    ) -> None:
        super().__init__(weights, class_ids)
        self._network = torchvision_model(model, model_classes, self._file, "backend.annotate")

    def label(self, frame: Frame) -> Boxes:
        """See `Annotator`."""
        import torch

        image = torch.from_numpy(np.ascontiguousarray(frame.image)).permute(2, 0, 1).float() / 255
        with torch.inference_mode():
            found = self._network([image])[0]
        return self._ours(
            found["boxes"].numpy(), found["labels"].numpy(), found["scores"].numpy(), frame.image.shape
        )
