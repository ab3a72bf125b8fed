"""Which GPUs, or MIG instances, a run uses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from framework_metrics.nvml.driver_calls import asked
from framework_metrics.sampling.probe import UnavailableError

_PARALLEL = ("tensor_parallel", "pipeline_parallel", "data_parallel")
"""Keys of `backend` whose product is the number of GPUs of a run that does not state it."""


@dataclass(frozen=True)
class Device:
    """A GPU, or a MIG instance of one.

    Attributes:
        label: `gpu0`, or `gpu0mig1`; the number is NVML's index.
        uuid: as CUDA names it.
        handle: NVML's handle of the device; memory and activity are its own.
        board: the GPU that it is or is part of; power, clocks and temperature exist only there.
        board_label: label of the board.
        instance: MIG's GPU instance, None for a whole GPU.
    """

    label: str
    uuid: str
    handle: Any
    board: Any
    board_label: str
    instance: int | None = None


def chosen(
    gpus: Sequence[str] | None, config: Mapping[str, Any], environment: Mapping[str, str]
) -> tuple[list[str] | None, int | None]:
    """Return which GPUs to watch, by the collector's key or as the run uses them: (names or None for all, how many).

    `CUDA_VISIBLE_DEVICES` counts as the server sees it: `backend.env` before this process's own. `backend.gpus`, or
    else the parallelism of `backend`, says how many of the visible ones are used, the first ones as CUDA does.
    """
    if gpus is not None:
        return [str(name) for name in gpus], None
    backend = config.get("backend")
    backend = backend if isinstance(backend, Mapping) else {}
    own = backend.get("env")
    own = own if isinstance(own, Mapping) else {}
    text = own.get("CUDA_VISIBLE_DEVICES", environment.get("CUDA_VISIBLE_DEVICES"))
    count = backend.get("gpus")
    if not isinstance(count, int):
        stated = [backend[key] for key in _PARALLEL if isinstance(backend.get(key), int)]
        count = prod(stated) if stated else None
    return (None if text is None else visible_names(str(text))), count


def visible_names(text: str) -> list[str]:
    """Return the entries of a `CUDA_VISIBLE_DEVICES`, up to the first invalid one (-1, or empty) as CUDA reads it."""
    names = []
    for entry in (part.strip() for part in text.split(",")):
        if not entry or entry.startswith("-") or entry == "NoDevFiles":
            break
        names.append(entry)
    return names


def select_devices(library: Any, names: Sequence[str] | None, count: int | None) -> list[Device]:
    """Return the devices that are named, or all; the first `count` of them.

    Raises:
        UnavailableError: there is none, or one of the names fits none.
    """
    everything = _all_devices(library)
    if not everything:
        raise UnavailableError("NVML finds no GPU")
    if names is None:
        found = everything
    elif not names:
        raise UnavailableError("CUDA_VISIBLE_DEVICES hides every GPU")
    else:
        found = [device for name in names for device in _named(name, everything)]
    return list({device.label: device for device in found}.values())[:count]


def _all_devices(library: Any) -> list[Device]:
    """Return every GPU, or the MIG instances of those that are split."""
    devices: list[Device] = []
    for index in range(asked(library.nvmlDeviceGetCount)):
        board = asked(library.nvmlDeviceGetHandleByIndex, index)
        label = f"gpu{index}"
        instances = _instances(library, board, label)
        devices.extend(instances or [Device(label, _uuid(library, board), board, board, label)])
    return devices


def _instances(library: Any, board: Any, label: str) -> list[Device]:
    try:
        if asked(library.nvmlDeviceGetMigMode, board)[0] != library.NVML_DEVICE_MIG_ENABLE:
            return []
        slots = asked(library.nvmlDeviceGetMaxMigDeviceCount, board)
    except UnavailableError:  # a GPU that knows no MIG
        return []
    found = []
    for slot in range(slots):
        try:
            handle = asked(library.nvmlDeviceGetMigDeviceHandleByIndex, board, slot)
        except UnavailableError:  # an empty slot
            continue
        instance = asked(library.nvmlDeviceGetGpuInstanceId, handle)
        found.append(Device(f"{label}mig{slot}", _uuid(library, handle), handle, board, label, instance))
    return found


def _uuid(library: Any, handle: Any) -> str:
    return str(asked(library.nvmlDeviceGetUUID, handle))


def _named(name: str, everything: Sequence[Device]) -> list[Device]:
    """Return the devices of one name: an index, or a UUID that may be cut short."""
    if name.isdigit():
        found = [device for device in everything if device.board_label == f"gpu{int(name)}"]
    else:
        found = [device for device in everything if device.uuid.lower().startswith(name.lower())]
    if not found:
        known = ", ".join(f"{device.label[3:]} ({device.uuid})" for device in everything)
        raise UnavailableError(f"CUDA_VISIBLE_DEVICES names '{name}', but NVML sees {known}")
    return found
