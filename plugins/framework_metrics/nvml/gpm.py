"""GPU performance monitoring (GPM, Hopper and newer): what the SMs, tensor cores and DRAM really did.

Unlike `util_pct`, which is the share of time with any kernel running, these are averages of hardware counters over
the time between two samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from framework_metrics.nvml.devices import Device
from framework_metrics.nvml.driver_calls import asked, reason_of
from framework_metrics.sampling.probe import Reading, UnavailableError

_METRICS = {
    "sm_active_pct": "NVML_GPM_METRIC_SM_UTIL",
    "sm_occupancy_pct": "NVML_GPM_METRIC_SM_OCCUPANCY",
    "tensor_active_pct": "NVML_GPM_METRIC_ANY_TENSOR_UTIL",
    "dram_active_pct": "NVML_GPM_METRIC_DRAM_BW_UTIL",
    "pcie_tx_mib_s": "NVML_GPM_METRIC_PCIE_TX_PER_SEC",
    "pcie_rx_mib_s": "NVML_GPM_METRIC_PCIE_RX_PER_SEC",
}

NAMES = tuple(_METRICS)


class GpmReader:
    """Keeps the two samples of a device between which the next averages are taken.

    Raises:
        UnavailableError: the device or driver offers no GPM.
    """

    def __init__(self, library: Any, device: Device) -> None:
        support = asked(library.nvmlGpmQueryDeviceSupport, device.board)
        if not support.isSupportedDevice:
            raise UnavailableError("this GPU offers no performance monitoring (GPM: Hopper and newer)")
        self._library, self._device = library, device
        self._before = asked(library.nvmlGpmSampleAlloc)
        self._now = asked(library.nvmlGpmSampleAlloc)
        self._sample(self._before)

    def read(self) -> Sequence[Reading]:
        """Return the averages since the last call, in the order of `NAMES`."""
        library = self._library
        self._sample(self._now)
        wanted = library.c_nvmlGpmMetricsGet_t()
        wanted.version = library.NVML_GPM_METRICS_GET_VERSION
        wanted.numMetrics = len(_METRICS)
        wanted.sample1, wanted.sample2 = self._before, self._now
        for place, metric in enumerate(_METRICS.values()):
            wanted.metrics[place].metricId = getattr(library, metric)
        asked(library.nvmlGpmMetricsGet, wanted)
        self._before, self._now = self._now, self._before
        found = [wanted.metrics[place] for place in range(len(_METRICS))]
        return [
            float(item.value) if item.nvmlReturn == 0 else UnavailableError(reason_of(item.nvmlReturn))
            for item in found
        ]

    def close(self) -> None:
        """Free the samples."""
        for sample in (self._before, self._now):
            self._library.nvmlGpmSampleFree(sample)

    def _sample(self, into: Any) -> None:
        if self._device.instance is None:
            asked(self._library.nvmlGpmSampleGet, self._device.board, into)
        else:
            asked(self._library.nvmlGpmMigSampleGet, self._device.board, self._device.instance, into)
