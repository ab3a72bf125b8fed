"""NVML through nvidia-ml-py: opened once, its errors turned into reasons. Used in the sampler's process only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from framework_metrics.sampling.probe import UnavailableError

T = TypeVar("T")

_REASONS = {
    2: "NVML refused the call as invalid",
    3: "not supported by this GPU or driver (NVML: not supported)",
    4: "no permission (NVML: insufficient permissions)",
    9: "the NVIDIA driver is not loaded",
    12: "no NVML library on this machine (libnvidia-ml.so.1, part of the NVIDIA driver)",
    13: "this driver's NVML does not have it (NVML: function not found)",
    15: "the GPU is lost (NVML: GPU is lost; see dmesg)",
    16: "the GPU needs a reset (NVML: reset required)",
    18: "driver and NVML library differ in version (restart after the driver's update)",
    21: "no data (NVML)",
}


def nvml() -> Any:
    """Return the `pynvml` module. Raises `UnavailableError` where nvidia-ml-py is not installed."""
    try:
        import pynvml
    except ImportError:
        raise UnavailableError("nvidia-ml-py is not installed: pip install 'framework-lab[gpu]'") from None
    return pynvml


def asked(call: Callable[..., T], *arguments: Any) -> T:
    """Return what an NVML function returns.

    Raises:
        UnavailableError: NVML answered with an error; says which.
    """
    try:
        return call(*arguments)
    except nvml().NVMLError as error:
        raise UnavailableError(reason_of(int(error.value), str(error))) from None


def reason_of(code: int, text: str = "") -> str:
    """Return an NVML error code as a reason."""
    return _REASONS.get(code) or f"NVML error {code}{': ' + text if text else ''}"


def open_library() -> Any:
    """Initialise NVML and return its module. Raises `UnavailableError` where there is no driver, library or GPU."""
    library = nvml()
    asked(library.nvmlInit)
    return library
