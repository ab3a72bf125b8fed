"""The `support` command: who prices a model on a GPU, on what evidence, and what is left out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from framework.errors import ConfigError

if TYPE_CHECKING:
    from framework_serving.hardware.gpu_spec import GpuSpec
    from framework_serving.hardware.model_shape import ModelShape

_UNLIKE = 0.1
"""A checkpoint whose size differs by more than this share from what its configuration says is not understood."""


def _cache(shape: ModelShape, sheet: GpuSpec, tensor: int) -> str:
    """Return what an engine with the twin's defaults has for its KV cache, or why it does not start."""
    from framework_twin.physics.engine_memory import kv_capacity
    from framework_twin.server import engine_memory
    from framework_twin.settings import TwinSettings

    try:
        held = kv_capacity(shape, sheet, engine_memory(TwinSettings(tensor_parallel=tensor), shape, "v1"))
    except ConfigError as error:
        return f"does not start: {error}"
    return f"KV cache: {held.tokens:,} tokens, {held.kv_bytes * tensor / 2**30:.1f} GiB"


def run_support(model: str, gpu: str, tensor_parallel: int) -> int:
    """Print what can be predicted; return the exit status.

    Raises:
        ConfigError: unknown model or GPU, or a combination that no engine starts.
    """
    from rich.console import Console

    from framework_serving.hardware.catalogue import gpu_spec, model_shape
    from framework_serving.hardware.model_files import checkpoint_bytes, shape_of_path
    from framework_twin.physics.profile import find_profile
    from framework_twin.physics.uncalibrated.bands import evidence, factors, hardware_class
    from framework_twin.physics.uncalibrated.deployment import Deployment
    from framework_twin.physics.uncalibrated.providers import priced

    model, gpu = model.removeprefix("model.id=").removeprefix("model.path="), gpu.removeprefix("gpu=")
    path = Path(model.removeprefix("model="))
    shape = shape_of_path(path) if path.exists() else model_shape(str(path))
    sheet = gpu_spec(gpu)
    console = Console()

    def say(text: str) -> None:
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    say(f"{shape.name} on {tensor_parallel} × {sheet.name}: {shape.n_params / 1e9:.2f} B parameters,")
    say(
        f"  {shape.active_params / 1e9:.2f} B of them for each token, {shape.weight_bytes / 1e9:.1f} GB of weights,"
        f" {shape.kv_bytes_per_token / 1024:.1f} KiB of cache a token"
    )
    stored = checkpoint_bytes(path) if path.exists() else None
    if stored and abs(shape.weight_bytes / stored - 1) > _UNLIKE:
        say(
            f"warning: its files hold {stored / 1e9:.1f} GB of weights, the configuration says"
            f" {shape.weight_bytes / 1e9:.1f} GB: state model.weight_type, or the architecture is not read rightly"
        )
    profiles = [find_profile(shape.name, sheet.name, generation) for generation in ("v1", "v0")]
    for profile in filter(None, profiles if tensor_parallel == 1 else []):
        say(f"profile {profile.name}: fitted on {profile.fit.runs} runs; backend=twin takes it")
    found = priced(shape, sheet, Deployment(tensor=tensor_parallel))
    say(_cache(shape, sheet, tensor_parallel))
    say(f"provider: {found.provider}" + (f" ({found.reason})" if found.reason else ""))
    hardware = hardware_class(sheet, shape)
    known = evidence(found.provider, hardware)
    if known:
        say(
            f"evidence: {known['runs']} published runs of {known['models']} models"
            f" ({', '.join(known['sources'])}) on this class of hardware ({hardware})"
        )
        for metric, error in known["median_error_percent"].items():
            say(f"  {metric}: median error {error} %")
    else:
        say(f"evidence: no published run on this class of hardware ({hardware}); bands of the nearest one")
    low, high = factors(found.provider, hardware, "closed_loop", "tpot_mean_ms")
    say(f"80 % band of the time per token: {low:.2f} to {high:.2f} times the prediction")
    if shape.other_params:
        say("not modelled: the work of the vision tower")
    return 0
