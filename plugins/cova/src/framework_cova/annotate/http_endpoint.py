"""A teacher behind an address: a frame is sent as PNG, boxes come back as JSON."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np

from framework.errors import ConfigError
from framework_cova.boxes import Boxes
from framework_cova.stages import Frame, TeacherError


class HttpAnnotator:
    """Posts each frame; the reply is `{"boxes": [[left, top, right, bottom], …], "labels": […], "scores": […]}`.

    Args:
        url: where frames are posted.
        timeout_s: of one request.
        tries: a request is repeated so often before its frame is given up.
    """

    def __init__(self, url: str | None = None, timeout_s: float = 20.0, tries: int = 2) -> None:
        if not url or not url.startswith(("http://", "https://")):
            raise ConfigError(
                f"configuration key 'backend.annotate.url': an http address is needed, got {url}"
            )
        if timeout_s <= 0 or tries < 1:
            raise ConfigError(
                f"configuration key 'backend.annotate.timeout_s': above 0, and tries at least 1, got "
                f"{timeout_s}, {tries}"
            )
        self._url, self._timeout_s, self._tries = url, timeout_s, tries

    def label(self, frame: Frame) -> Boxes:
        """See `Annotator`."""
        _, png = cv2.imencode(".png", frame.image[:, :, ::-1])
        request = urllib.request.Request(self._url, png.tobytes(), {"Content-Type": "image/png"})
        for left in reversed(range(self._tries)):
            try:
                with urllib.request.urlopen(request, timeout=self._timeout_s) as reply:
                    return _boxes(json.load(reply))
            except (urllib.error.URLError, TimeoutError, OSError) as error:
                if not left:
                    raise TeacherError(f"{self._url}: {getattr(error, 'reason', None) or error}") from error
                time.sleep(0.2)
            except (ValueError, KeyError, TypeError) as error:
                raise TeacherError(
                    f"{self._url}: the reply isn't boxes, labels and scores ({error})"
                ) from error
        raise AssertionError

    def identity(self) -> Mapping[str, Any]:
        """See `Annotator`."""
        return {"teacher": "http", "url": self._url}


def _boxes(reply: Any) -> Boxes:
    xyxy = np.asarray(reply["boxes"], np.float32).reshape(-1, 4)
    label, scores = np.asarray(reply["labels"]), np.asarray(reply["scores"])
    if not len(xyxy) == len(label) == len(scores):
        raise ValueError(f"{len(xyxy)} boxes, {len(label)} labels, {len(scores)} scores")
    return Boxes.of(xyxy, label, scores)
