"""A camera's frames in their order in time: what is learnt from, a gap, what is scored."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from framework.errors import InputError
from framework_cova.boxes import Floats
from framework_cova.capture.sources import GeneratedCapture
from framework_cova.motion.region_scores import RegionTally
from framework_cova.stages import Capture, Filter, Frame, build_stage

HEAT_CELLS = (32, 20)  # columns, rows of the map of motion


@dataclass
class Timeline:
    """Frames of one camera.

    Attributes:
        adapt: frames that labels may be asked for, and the regions of motion in each.
        scored: later frames, and their regions.
        tally: how good the regions were.
        heat: (rows, columns) share of frames in which the cell moved.
        skipped: frames left out, by reason.
        filter_s: time of the filter.
    """

    adapt: list[Frame] = field(default_factory=list)
    adapt_regions: list[Floats] = field(default_factory=list)
    scored: list[Frame] = field(default_factory=list)
    scored_regions: list[Floats] = field(default_factory=list)
    tally: RegionTally = field(default_factory=RegionTally)
    heat: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(HEAT_CELLS[::-1]))
    skipped: dict[str, int] = field(default_factory=dict)
    filter_s: float = 0.0


def open_camera(camera: pa.Table) -> tuple[Capture, int]:
    """Return the capture that a workload's table names, and how many frames are skipped between two."""
    row = camera.to_pylist()[0]
    capture: Capture = build_stage(json.loads(row["capture"]), "workload.capture")
    return capture, int(row["skip"])


def is_repeatable(camera: pa.Table) -> bool:
    """Return whether a camera gives the same frames again: it is generated, or its file is known by its content."""
    return bool(camera["content"][0].as_py()) or isinstance(open_camera(camera)[0], GeneratedCapture)


def told_counts(counts: Mapping[str, int], before: str = "", after: str = "") -> str:
    """Return counts by reason as people read them; "" for none."""
    text = ", ".join(f"{reason}: {count}" for reason, count in sorted(counts.items()))
    return f"{before}{text}{after}" if text else ""


def every(capture: Capture, skip: int) -> Iterator[Frame]:
    """Yield frames 0, n + 1, 2 (n + 1) … of a capture for `skip` = n."""
    for index, frame in enumerate(capture.frames()):
        if index % (skip + 1) == 0:
            yield frame


def read_timeline(
    camera: pa.Table, motion: Filter, adapt: int, gap: int, scored: int, score_every: int
) -> Timeline:
    """Return a camera's frames, split in time. The filter sees every one of them.

    Raises:
        InputError: the source ends before there is a frame to score.
    """
    from time import perf_counter

    capture, skip = open_camera(camera)
    line = Timeline()
    read = 0
    for read, frame in enumerate(every(capture, skip), start=1):
        began = perf_counter()
        regions = motion.regions(frame.image)
        line.filter_s += perf_counter() - began
        height, width = frame.image.shape[:2]
        if read > 20:  # backgrounds are learnt first
            line.tally.add(frame.truth, regions, width, height)
            _warm(line.heat, regions, width, height)
        if read <= adapt:
            line.adapt.append(frame)
            line.adapt_regions.append(regions)
        elif read > adapt + gap and (read - adapt - gap - 1) % score_every == 0:
            line.scored.append(frame)
            line.scored_regions.append(regions)
        if read >= adapt + gap + scored:
            break
    line.heat /= max(line.tally.frames, 1)
    line.skipped = dict(capture.skipped())
    if not line.scored:
        raise InputError(
            f"workload.capture: the source ended after {read} frames; backend.adapt_frames ({adapt}) and"
            f" backend.gap_frames ({gap}) leave none to score{told_counts(line.skipped, ' (left out: ', ')')}"
        )
    return line


def _warm(heat: npt.NDArray[np.float64], regions: Floats, width: int, height: int) -> None:
    rows, columns = heat.shape
    hit = np.zeros(heat.shape, bool)
    for x0, y0, x1, y1 in regions:
        row, column = int(y0 * rows / height), int(x0 * columns / width)
        hit[row : int(np.ceil(y1 * rows / height)), column : int(np.ceil(x1 * columns / width))] = True
    heat += hit


def evenly(indices: Sequence[int], count: int) -> list[int]:
    """Return at most `count` of the indices, evenly spread over them."""
    if len(indices) <= count:
        return list(indices)
    return [indices[int(place)] for place in np.linspace(0, len(indices) - 1, count).round()]


def to_label(line: Timeline, how: str, count: int, seed: int, student: Any = None) -> list[int]:
    """Return which frames of the adaptation part go to the teacher.

    Args:
        how: `motion`: frames in which something moves, evenly in time; `random`: any; `uncertain`: of those with
            motion the ones about which `student` is least sure (mean of 1 − |2 score − 1| over its detections).
    """
    if how == "random":
        rng = np.random.default_rng([seed, 43])
        return sorted(
            int(one) for one in rng.choice(len(line.adapt), min(count, len(line.adapt)), replace=False)
        )
    moving = [index for index, regions in enumerate(line.adapt_regions) if len(regions)]
    if how == "motion" or len(moving) <= count:
        return evenly(moving, count)
    found = student.detect([line.adapt[index].image for index in moving])
    doubt = [float(np.sum(1 - np.abs(2 * boxes.score - 1))) for boxes in found]
    return sorted(moving[place] for place in np.argsort(doubt)[::-1][:count])
