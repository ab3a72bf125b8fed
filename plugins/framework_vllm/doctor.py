"""What this machine can do with the real engine."""

from __future__ import annotations

import resource
import shutil
from collections.abc import Iterator
from pathlib import Path

from framework.contracts import DoctorCheck
from framework.errors import ConfigError
from framework_vllm.engine.device_check import installed_gpus
from framework_vllm.engine.interpreter import INSTALL, engine_identity, interpreter_words
from framework_vllm.server.mps import PROGRAM

_STREAMS_WANTED = 4096


def checks() -> Iterator[DoctorCheck]:
    """Yield whether vLLM is there and which, GPUs, MPS, and how many streams the load client may open."""
    yield _engine()
    yield _gpus()
    if installed_gpus():
        found = shutil.which(PROGRAM)
        yield DoctorCheck(
            "vLLM replicas on one GPU",
            found is not None or None,
            "shared by MPS" if found else f"{PROGRAM} is missing: time slicing only",
            "" if found else "install the NVIDIA driver's utilities, or backend.mps=false",
        )
    yield _streams()


def _engine() -> DoctorCheck:
    try:
        words = interpreter_words(None)
        identity = engine_identity(words)
    except ConfigError as error:
        return DoctorCheck("vLLM", None, str(error).partition("; ")[0], INSTALL)
    kind = "for a CPU" if "cpu" in f"{identity.distribution}{identity.version}" else "for a GPU"
    return DoctorCheck("vLLM", True, f"{identity.version}, {kind}: {words[-1]}")


def _gpus() -> DoctorCheck:
    gpus = installed_gpus()
    if gpus:
        names = ", ".join(f"{name} ({memory_gib:.0f} GiB)" for name, memory_gib in gpus)
        return DoctorCheck("vLLM on a GPU", True, names)
    seen = Path("/dev/nvidiactl").exists()
    return DoctorCheck(
        "vLLM on a GPU",
        None,
        "a GPU was found, but not nvidia-smi" if seen else "no NVIDIA GPU: gpu=cpu with the CPU build",
        "",
    )


def _streams() -> DoctorCheck:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = hard if hard != resource.RLIM_INFINITY else soft
    enough = most >= _STREAMS_WANTED
    return DoctorCheck(
        "load client",
        enough,
        f"{most} open streams per client process",
        "" if enough else f"ulimit -Hn {_STREAMS_WANTED} (or more, by an administrator)",
    )
