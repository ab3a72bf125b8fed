"""What can be read from a GPU, and how: one reader a question to NVML, each with the names of its answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from framework_metrics.nvml.devices import Device
from framework_metrics.nvml.driver_calls import asked, reason_of
from framework_metrics.sampling.probe import Reading, UnavailableError

PLAUSIBLE: dict[str, tuple[float, float]] = {
    "power_w": (0.0, 5000.0),
    "power_average_w": (0.0, 5000.0),
    "energy_counter_j": (0.0, 1e15),
    "util_pct": (0.0, 100.0),
    "memory_util_pct": (0.0, 100.0),
    "memory_used_mib": (0.0, 4e6),
    "sm_clock_mhz": (0.0, 10_000.0),
    "memory_clock_mhz": (0.0, 50_000.0),
    "temperature_c": (-50.0, 200.0),
    "memory_temperature_c": (-50.0, 200.0),
    "throttle_reasons": (0.0, 1e15),
    "pcie_tx_mib_s": (0.0, 1e6),
    "pcie_rx_mib_s": (0.0, 1e6),
    "sm_active_pct": (0.0, 100.5),
    "sm_occupancy_pct": (0.0, 100.5),
    "tensor_active_pct": (0.0, 100.5),
    "dram_active_pct": (0.0, 100.5),
}
"""Range of each quantity; what is outside is a sensor's error, not a reading."""

ADDITIVE = ("power_w", "power_average_w", "memory_used_mib", "pcie_tx_mib_s", "pcie_rx_mib_s")
"""Quantities that add up over the GPUs of a run."""


@dataclass(frozen=True)
class Reader:
    """One question to NVML.

    Attributes:
        names: of the quantities that it answers, in order.
        read: asks it of a device; may raise `UnavailableError` for all, or return one in the place of a quantity.
        scope: `board` where it exists only for a whole GPU, `device` where a MIG instance has its own.
    """

    names: tuple[str, ...]
    read: Callable[[Any, Device], Sequence[Reading]]
    scope: Literal["board", "device"] = "board"


def plausible(name: str, reading: Reading) -> Reading:
    """Return a reading, or why it can't be one."""
    if isinstance(reading, UnavailableError):
        return reading
    low, high = PLAUSIBLE[name]
    if not low <= reading <= high:
        return UnavailableError(f"the sensor returned {reading:g}, outside {low:g} to {high:g}")
    return reading


def field_values(library: Any, board: Any, fields: Sequence[int]) -> list[Reading]:
    """Return NVML field values in one call; each may fail on its own."""
    values = asked(library.nvmlDeviceGetFieldValues, board, list(fields))
    return [
        _field_number(library, value)
        if value.nvmlReturn == 0
        else UnavailableError(reason_of(value.nvmlReturn))
        for value in values
    ]


def _field_number(library: Any, value: Any) -> Reading:
    kinds = {
        library.NVML_VALUE_TYPE_DOUBLE: "dVal",
        library.NVML_VALUE_TYPE_UNSIGNED_INT: "uiVal",
        library.NVML_VALUE_TYPE_UNSIGNED_LONG: "ulVal",
        library.NVML_VALUE_TYPE_UNSIGNED_LONG_LONG: "ullVal",
        library.NVML_VALUE_TYPE_SIGNED_LONG_LONG: "sllVal",
        library.NVML_VALUE_TYPE_SIGNED_INT: "siVal",
    }
    kind = kinds.get(value.valueType)
    if kind is None:
        return UnavailableError(f"NVML field {value.fieldId} has an unknown type")
    return float(getattr(value.value, kind))


def power(library: Any, device: Device) -> Sequence[Reading]:
    """Return instant and average power (W) and the memory's temperature (°C) by field values.

    Where the instant field is missing (drivers before 530), `nvmlDeviceGetPowerUsage` replaces it: instant up
    to Turing and on GA100, a 1 s average on other Ampere and newer GPUs (NVML manual).
    """
    instant: Reading
    average: Reading
    memory: Reading
    try:
        instant, average, memory = field_values(
            library,
            device.board,
            (
                library.NVML_FI_DEV_POWER_INSTANT,
                library.NVML_FI_DEV_POWER_AVERAGE,
                library.NVML_FI_DEV_MEMORY_TEMP,
            ),
        )
    except UnavailableError as missing:
        instant = average = memory = missing
    if isinstance(instant, UnavailableError):
        try:
            instant = 1e-3 * asked(library.nvmlDeviceGetPowerUsage, device.board)
        except UnavailableError as missing:
            instant = missing
    else:
        instant *= 1e-3
    return instant, average if isinstance(average, UnavailableError) else 1e-3 * average, memory


def energy_counter(library: Any, device: Device) -> Sequence[Reading]:
    """Return the energy since the driver was loaded (J)."""
    return (1e-3 * asked(library.nvmlDeviceGetTotalEnergyConsumption, device.board),)


def _utilisation(library: Any, device: Device) -> Sequence[Reading]:
    rates = asked(library.nvmlDeviceGetUtilizationRates, device.handle)
    return float(rates.gpu), float(rates.memory)


def _memory(library: Any, device: Device) -> Sequence[Reading]:
    return (asked(library.nvmlDeviceGetMemoryInfo, device.handle).used / 2**20,)


def _clock(kind: str) -> Callable[[Any, Device], Sequence[Reading]]:
    def read(library: Any, device: Device) -> Sequence[Reading]:
        return (float(asked(library.nvmlDeviceGetClockInfo, device.board, getattr(library, kind))),)

    return read


def _temperature(library: Any, device: Device) -> Sequence[Reading]:
    sensor = library.NVML_TEMPERATURE_GPU
    return (float(asked(library.nvmlDeviceGetTemperature, device.board, sensor)),)


def _throttle_reasons(library: Any, device: Device) -> Sequence[Reading]:
    return (float(asked(library.nvmlDeviceGetCurrentClocksThrottleReasons, device.board)),)


def pcie(library: Any, device: Device) -> Sequence[Reading]:
    """Return PCIe traffic from and to the GPU (MiB/s) over the last 20 ms; each question takes as long."""
    tx, rx = library.NVML_PCIE_UTIL_TX_BYTES, library.NVML_PCIE_UTIL_RX_BYTES
    return [asked(library.nvmlDeviceGetPcieThroughput, device.board, way) / 1024 for way in (tx, rx)]


READERS = (
    Reader(("power_w", "power_average_w", "memory_temperature_c"), power),
    Reader(("util_pct", "memory_util_pct"), _utilisation, "device"),
    Reader(("memory_used_mib",), _memory, "device"),
    Reader(("sm_clock_mhz",), _clock("NVML_CLOCK_SM")),
    Reader(("memory_clock_mhz",), _clock("NVML_CLOCK_MEM")),
    Reader(("temperature_c",), _temperature),
    Reader(("throttle_reasons",), _throttle_reasons),
)
"""What every GPU is asked; traffic and activity are apart, see `gpm.py`."""

PCIE = Reader(("pcie_tx_mib_s", "pcie_rx_mib_s"), pcie)
POWER = Reader(("power_w",), lambda library, device: power(library, device)[:1])
COUNTER = Reader(("energy_counter_j",), energy_counter)
