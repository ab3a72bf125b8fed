"""The captures that come with the plugin: `generated`, `video` (file or stream), `folder` of images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from framework.errors import ConfigError, InputError, one_line
from framework_cova.scene.generated_camera import GeneratedCamera
from framework_cova.scene.recipe import SceneRecipe
from framework_cova.stages import Frame, Image

IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")


class GeneratedCapture:
    """A synthetic camera; the keys are those of `SceneRecipe`."""

    def __init__(self, max_frames: int | None = None, **keys: Any) -> None:
        if max_frames is not None:
            keys["frames"] = min(int(keys.get("frames", SceneRecipe.frames)), max_frames)
        self.recipe = SceneRecipe.of(keys)

    def frames(self) -> Iterator[Frame]:
        """Yield every frame, with its truth."""
        camera = GeneratedCamera(self.recipe)
        for number in range(len(camera)):
            image, truth = camera.frame(number)
            yield Frame(number, number / self.recipe.fps, image, truth)

    def skipped(self) -> Mapping[str, int]:
        """Nothing is left out."""
        return {}


class _Recorded:
    """What files, streams and folders share: size of frames, and what is left out."""

    def __init__(self, width: int | None, height: int | None) -> None:
        if (width is None) != (height is None) or min(width or 64, height or 64) < 16:
            raise ConfigError(
                f"configuration key 'workload.capture.width': width and height go together, at least 16,"
                f" got {width}, {height}"
            )
        self._size = (width, height) if width and height else None
        self._left_out: Counter[str] = Counter()

    def skipped(self) -> Mapping[str, int]:
        """Return frames left out, by reason."""
        return dict(self._left_out)

    def _fitting(self, image: Image | None) -> Image | None:
        """Return the frame in the size of the first one; None for one that is left out."""
        if image is None or image.size == 0:
            self._left_out["unreadable or empty frame"] += 1
            return None
        height, width = image.shape[:2]
        if self._size is None:
            self._size = (width, height)
        if (width, height) != self._size:
            self._left_out["resized: resolution differs from the first frame's"] += 1
            image = np.asarray(cv2.resize(image, self._size, interpolation=cv2.INTER_AREA), np.uint8)
        return image


class VideoCapture(_Recorded):
    """A video file, or an RTSP or HTTP stream, read by PyAV.

    Args:
        path: file or address.
        width, height: frames are brought to this size; null: the size of the first frame.
        stall_s: a stream that sends nothing for so long has stalled.
        max_frames: stop after so many; null: read to the end.
    """

    def __init__(
        self,
        path: str | None,
        width: int | None = None,
        height: int | None = None,
        stall_s: float = 10.0,
        max_frames: int | None = None,
    ) -> None:
        super().__init__(width, height)
        if not path:
            raise ConfigError("configuration key 'workload.capture.path': name a video file or a stream")
        if stall_s <= 0:
            raise ConfigError(f"configuration key 'workload.capture.stall_s': must be above 0, got {stall_s}")
        self._path, self._stall_s, self._max_frames = path, stall_s, max_frames

    def frames(self) -> Iterator[Frame]:
        """Yield frames; see `Capture`. A source that stalls or breaks off midway has ended; `skipped` says so."""
        import av

        stream_source = "://" in self._path
        if not stream_source and not Path(self._path).is_file():
            raise InputError(f"workload.capture.path: no file {self._path}")
        options = {"rtsp_transport": "tcp"} if self._path.startswith("rtsp") else {}
        try:
            container = av.open(self._path, options=options, timeout=self._stall_s)
        except Exception as error:  # PyAV's errors share no base class across its releases
            raise InputError(
                f"workload.capture.path: {self._path} can't be opened as video: {one_line(error)}"
            ) from error
        number = 0
        with container:
            if not container.streams.video:
                raise InputError(f"workload.capture.path: {self._path} holds no video stream")
            video = container.streams.video[0]
            rate = float(video.average_rate or 25)
            packets = container.demux(video)
            while self._max_frames is None or number < self._max_frames:
                try:
                    packet = next(packets, None)
                except Exception as error:
                    stalled = "timed out" in str(error).lower() or "exit" in type(error).__name__.lower()
                    what = f"sent nothing for {self._stall_s:g} s" if stalled else "broke off"
                    what += f" after {number} frames: {one_line(error)}"
                    if number == 0:
                        raise InputError(f"workload.capture.path: {self._path} {what}") from error
                    self._left_out[f"everything later, since the source {what}"] += 1
                    break  # what came before is as good as ever
                if packet is None:
                    break
                try:
                    decoded = packet.decode()
                except Exception:  # any decoder's; counted
                    self._left_out["damaged packet"] += 1
                    continue
                for one in decoded:
                    image = self._fitting(one.to_ndarray(format="rgb24"))
                    if image is not None:
                        yield Frame(number, float(one.time) if one.time is not None else number / rate, image)
                    number += 1
                    if number == self._max_frames:
                        break
        if number == 0:
            raise InputError(f"workload.capture.path: {self._path} holds no frame that can be read")


class FolderCapture(_Recorded):
    """Images of a folder, in the order of their names.

    Args:
        path: the folder.
        fps: images a second, for times.
        width, height: as for video.
    """

    def __init__(
        self, path: str | None, fps: float = 10.0, width: int | None = None, height: int | None = None
    ) -> None:
        super().__init__(width, height)
        if not path:
            raise ConfigError("configuration key 'workload.capture.path': name a folder of images")
        if fps <= 0:
            raise ConfigError(f"configuration key 'workload.capture.fps': must be above 0, got {fps}")
        self._path, self._fps = Path(path), fps

    def frames(self) -> Iterator[Frame]:
        """Yield frames; see `Capture`."""
        if not self._path.is_dir():
            raise InputError(f"workload.capture.path: no folder {self._path}")
        files = sorted(file for file in self._path.iterdir() if file.suffix.lower() in IMAGES)
        if not files:
            raise InputError(f"workload.capture.path: no image ({', '.join(IMAGES)}) in {self._path}")
        read = 0
        for number, file in enumerate(files):
            data = np.frombuffer(file.read_bytes(), np.uint8)
            pixels = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
            image = self._fitting(None if pixels is None else np.ascontiguousarray(pixels[:, :, ::-1]))
            if image is not None:
                read += 1
                yield Frame(number, number / self._fps, image)
        if not read:
            raise InputError(
                f"workload.capture.path: none of the {len(files)} images in {self._path} can be read"
            )
