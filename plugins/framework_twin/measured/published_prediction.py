"""Predict a published run from its setup: deployment, number types and physics resolved, the load simulated.

The scheduler is the kernel's. A closed loop is run as load clients do: all users start at once, and ten requests each
are averaged. A steady state holds its number of running requests; the length of its prompts was not published, so a
usual one of the task stands for it, and only what the running batch decides is predicted.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from framework.errors import ConfigError
from framework_serving.hardware.catalogue import gpu_spec, model_shape
from framework_serving.hardware.gpu_spec import GpuSpec
from framework_serving.hardware.model_shape import KV_BLOCK_TOKENS, ModelShape
from framework_serving.hardware.number_types import number_type
from framework_twin.kernel.inputs import EngineConfig, Requests
from framework_twin.kernel.output import SimulationOutput
from framework_twin.kernel.simulate import simulate
from framework_twin.measured.published_table import PublishedSetup
from framework_twin.physics.engine_memory import EngineMemory, kv_capacity
from framework_twin.physics.power import activity
from framework_twin.physics.uncalibrated.bands import WITH_IMAGES, band, hardware_class
from framework_twin.physics.uncalibrated.deployment import Deployment
from framework_twin.physics.uncalibrated.engine_work import EngineWork, release_of
from framework_twin.physics.uncalibrated.power_model import Utilisation, shares_of, utilisation
from framework_twin.physics.uncalibrated.step_physics import StepPhysics, step_physics

Ints = npt.NDArray[np.int64]

TASK_PROMPT_TOKENS = {
    "gpqa": 300,
    "lm-arena-chat": 150,
    "sourcegraph-fim": 3000,
    "image-chat": 1100,
    "video-chat": 2200,
}
"""Usual prompt of a leaderboard's task, where its length was not published: assumptions that agree with how much
longer the mean step is than the usual one, not measurements."""
_GEMMA_IMAGE_TOKENS = 400
"""An image is 256 tokens for Gemma 3, whatever its size, beside the text."""
_OTHER_PROMPT_TOKENS = 150
_V0_BUDGET, _V1_BUDGET = 4096, 8192
_ENOUGH_BLOCKS = 10**7
_REQUESTS_OF_A_USER, _LENGTHS_VARY = 10, 0.1
"""A closed loop's requests, and how far their lengths lie around the stated one, as load clients draw them. Were all
lengths the same, requests that start together would stay in step for ever, and wait for each other each time."""


@dataclass(frozen=True)
class PublishedPrediction:
    """What is expected of a published run.

    Attributes:
        values: quantity, named as the `measured_*` columns without prefix, to value.
        bands: quantity to (low, high), an 80 % band.
        provider: who priced the steps.
        notes: what the reader should know of it.
    """

    values: Mapping[str, float]
    bands: Mapping[str, tuple[float, float]]
    provider: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Server:
    setup: PublishedSetup
    shape: ModelShape
    gpu: GpuSpec
    spread: Deployment
    physics: StepPhysics
    generation: str
    prompt: int


def predict_published(
    setup: PublishedSetup, physics: str = "auto", work: EngineWork | None = None
) -> PublishedPrediction:
    """Predict a run; `work` stands for that of the engine's release (a fit tries others).

    Raises `ConfigError` with the reason for a run that can't be predicted.
    """
    server = _server(setup, physics, work)
    values = {"lockstep": _lockstep, "closed_loop": _closed_loop, "steady": _steady}[setup.load](server)
    hardware = hardware_class(server.gpu, server.shape)
    bands = {
        name: limits
        for name, value in values.items()
        if (limits := band(server.physics.provider, hardware, load_class(setup), name, value)) is not None
    }
    return PublishedPrediction(values, bands, server.physics.provider, _notes(server))


def _server(setup: PublishedSetup, physics: str, work: EngineWork | None) -> _Server:
    shape, gpu = model_shape(setup.model), gpu_spec(setup.gpu)
    shape = typed_shape(shape, setup, gpu)
    spread = deployment_of(setup)
    generation = _generation(setup)
    release = release_of_run(setup)
    if setup.load == "steady" and setup.running is None:
        raise ConfigError("measured_running_mean: a steady state needs the number of running requests")
    if setup.load != "steady" and setup.input_tokens is None:
        raise ConfigError("input_tokens: not published, and the load can't be simulated without them")
    found = step_physics(
        shape, gpu, spread, generation=generation, release=release, physics=physics, work=work
    )
    prompt = setup.input_tokens or _task_prompt(setup, shape)
    return _Server(setup, shape, gpu, spread, found, generation, prompt)


def _task_prompt(setup: PublishedSetup, shape: ModelShape) -> int:
    task = next((task for task in TASK_PROMPT_TOKENS if task in setup.note), "")
    if task == "image-chat" and shape.family.startswith("gemma"):
        return _GEMMA_IMAGE_TOKENS
    return TASK_PROMPT_TOKENS.get(task, _OTHER_PROMPT_TOKENS)


def load_class(setup: PublishedSetup) -> str:
    """Return the kind of load that errors are kept apart by: steady states with images have theirs."""
    return setup.load + WITH_IMAGES if shows_images(setup) else setup.load


def shows_images(setup: PublishedSetup) -> bool:
    """Return whether prompts hold images or videos, whose encoder and host work aren't modelled."""
    return "image-chat" in setup.note or "video-chat" in setup.note


def release_of_run(setup: PublishedSetup) -> str:
    """Return the engine release of a row (`engine_works`)."""
    generation = _generation(setup)
    architecture = gpu_spec(setup.gpu).architecture
    return release_of(generation, setup.version, server=setup.server, architecture=architecture)


def _generation(setup: PublishedSetup) -> str:
    return "v0" if setup.version.startswith("2024") else "v1"


def deployment_of(setup: PublishedSetup) -> Deployment:
    """Return the parallelism of a row; where ranks are not stated they follow from the number of GPUs."""
    tensor, pipeline = setup.tensor, setup.pipeline
    data = setup.data or 1
    expert = setup.expert or 1
    if setup.data is None and setup.expert_tensor is not None:
        data = max(1, setup.expert_tensor * expert // tensor)
    if setup.expert_tensor is None and setup.gpus:
        tensor = max(tensor, setup.gpus // (data * pipeline))
    return Deployment(tensor, pipeline, data, expert)


def typed_shape(shape: ModelShape, setup: PublishedSetup, gpu: GpuSpec) -> ModelShape:
    """Return the shape with a row's number types; a checkpoint that mixes types keeps those of its configuration."""
    if shape.expert_type and not shape.weight_type:
        own, stated = number_type(shape.expert_type).name, setup.expert_type or setup.weight_type
        if not stated or own == "mxfp4":
            return shape
        return replace(shape, expert_type=number_type(stated, "moe_dtype").name)
    dense = number_type(setup.weight_type, "weight_dtype").name if setup.weight_type else shape.weight_type
    experts = number_type(setup.expert_type, "moe_dtype").name if setup.expert_type else ""
    kv = number_type(setup.kv_type, "kv_dtype").name if setup.kv_type else shape.kv_type
    if not kv and gpu.fp4_tflops and (dense == "nvfp4" or (dense == "fp8" and not shape.weight_type)):
        kv = "fp8"  # checkpoints that were quantised afterwards, for Blackwell, say so of their cache as well
    plain = ("bf16", "fp16")
    return replace(
        shape,
        weight_type="" if dense in plain else dense,
        expert_type="" if experts in (dense, *plain) else experts,
        kv_type="" if kv in plain else kv,
    )


def _engine(server: _Server, batch: int, longest: int) -> EngineConfig:
    v1 = server.generation == "v1"
    budget = max(_V1_BUDGET, batch) if v1 else max(_V0_BUDGET, longest, batch)
    memory = EngineMemory(
        generation=server.generation,
        gpu_memory_utilization=0.9,
        max_num_seqs=min(batch, 256),
        max_num_batched_tokens=min(budget, 8192),
        max_model_len=KV_BLOCK_TOKENS,
        deployment=server.spread,
        request_tokens=longest,
    )
    cache: dict[str, Any] = {"kv_blocks": _ENOUGH_BLOCKS}
    if server.setup.load != "steady":
        with suppress(ConfigError):  # it ran all the same: with memory settings that were not published
            capacity = kv_capacity(server.shape, server.gpu, memory)
            least = capacity.state_blocks + capacity.window_blocks + longest // KV_BLOCK_TOKENS + 2
            cache = capacity.in_blocks | {"kv_blocks": max(capacity.blocks, least)}
    return EngineConfig(
        generation="v1" if v1 else "v0",
        **cache,
        max_num_seqs=batch,
        max_num_batched_tokens=budget,
        chunked_prefill=v1,
        max_model_len=longest,
        ranks=server.spread.data,
    )


def _run(server: _Server, users: int, outputs: Ints, prompts: Ints | None = None) -> SimulationOutput:
    """Serve users that send a request each time one has ended; one batch if there are as many as answers."""
    vector = server.physics.tables.behind(server.physics.coefficients.law())
    requests = _requests(server, users, outputs, prompts)
    engine = _engine(server, users, int(requests.input_tokens.max()) + int(outputs.max()))
    return simulate(engine, requests, vector)


def _requests(server: _Server, users: int, outputs: Ints, prompts: Ints | None = None) -> Requests:
    count = len(outputs)
    return Requests(
        np.zeros(count),
        (np.full(count, server.prompt) if prompts is None else prompts).astype(np.int32),
        outputs.astype(np.int32),
        users=users if users < count else None,
    )


def published_utilisation(setup: PublishedSetup) -> Utilisation:
    """Return what a run's accelerators do, for a fit of the power law; raises as `predict_published`."""
    server = _server(setup, "auto", None)
    if setup.load == "steady":
        batch, outputs = _steady_outputs(server)
    else:
        batch, outputs = setup.concurrency, _lockstep_outputs(server)
    return _utilisation(server, _run(server, batch, outputs), outputs)


def _lockstep(server: _Server) -> dict[str, float]:
    """One batch to its end. The engine stops a request where the model's context ends."""
    outputs = _lockstep_outputs(server)
    output = _run(server, len(outputs), outputs)
    return {"duration_s": output.duration_s, "power_mean_w": _watts(server, output, outputs)}


def _lockstep_outputs(server: _Server) -> Ints:
    room = server.shape.max_model_len - server.prompt
    return np.full(server.setup.concurrency, max(1, min(int(server.setup.output_tokens), room)))


def _closed_loop(server: _Server) -> dict[str, float]:
    users, prompts, outputs = closed_loop_requests(server.setup, server.spread)
    times = _run(server, users, outputs, prompts).requests
    sent, first, last = times.arrival_s, times.first_token_s, times.last_token_s
    return {
        "ttft_mean_ms": 1e3 * (float(np.mean(first - sent)) + server.physics.work.front_end_s),
        "tpot_mean_ms": 1e3 * float(np.mean((last - first) / (outputs - 1))),
    }


def closed_loop_requests(setup: PublishedSetup, spread: Deployment) -> tuple[int, Ints, Ints]:
    """Return the users of a rank, and the tokens of their requests' prompts and answers."""
    users = max(1, round(setup.concurrency / spread.data))
    rng, count = np.random.default_rng(1), _REQUESTS_OF_A_USER * users
    outputs = np.maximum(2, _lengths(rng, setup.output_tokens, count))
    return users, np.maximum(1, _lengths(rng, setup.input_tokens or 1, count)), outputs


def _lengths(rng: np.random.Generator, stated: float, count: int) -> Ints:
    low, high = (1 - _LENGTHS_VARY) * stated, (1 + _LENGTHS_VARY) * stated
    return rng.integers(int(low), int(high), count, endpoint=True)


def _steady(server: _Server) -> dict[str, float]:
    setup = server.setup
    batch, outputs = _steady_outputs(server)
    running = _present(server)
    output = _run(server, batch, outputs)
    first, last = output.requests.first_token_s, output.requests.last_token_s
    per_token = ((last - first) / np.maximum(1, outputs - 1))[batch:]
    gaps = output.token_gaps
    tok_s = running / gaps.mean_s
    watts = _watts(server, output, outputs)
    gpus = setup.gpus or server.spread.gpus
    values = {"output_tok_s": tok_s, "tpot_mean_ms": 1e3 * float(np.mean(per_token))}
    if server.generation == "v1":
        values.update({f"itl_p{share}_ms": 1e3 * gaps.percentile_s(share) for share in (50, 90, 99)})
    else:
        tok_s = values["output_tok_s"] = running / (values["tpot_mean_ms"] / 1e3)
    values["power_mean_w"] = watts * gpus
    values["energy_j_per_output_token"] = watts * gpus / tok_s
    return values


def _present(server: _Server) -> float:
    """Return how many of a steady state's requests run, on average over what was averaged."""
    setup = server.setup
    assert setup.running is not None
    ending = server.physics.work.tail * setup.running / float(setup.output_tokens) ** 0.5
    return float(setup.running / (1.0 + ending))


def _steady_outputs(server: _Server) -> tuple[int, Ints]:
    """Return the batch of a rank and answers that keep it full, the first of them at any point of their lives."""
    batch = max(1, round(_present(server) / server.spread.data))
    rng = np.random.default_rng(0)
    count = int(min(6 * batch, max(3 * batch, 400)))
    outputs = np.maximum(2, rng.gamma(2.0, server.setup.output_tokens / 2.0, count))
    outputs[:batch] = np.maximum(2, outputs[:batch] * rng.random(batch))
    return batch, outputs.astype(np.int64)


def _watts(server: _Server, output: SimulationOutput, outputs: Ints) -> float:
    """Mean watts of one accelerator while the run lasts."""
    return shares_of(server.gpu).watts(_utilisation(server, output, outputs), server.gpu.tdp_w)


def _utilisation(server: _Server, output: SimulationOutput, outputs: Ints) -> Utilisation:
    requests = _requests(server, len(outputs), outputs)
    return utilisation(server.shape, server.gpu, server.spread, activity(output, requests, 1))


def _notes(server: _Server) -> tuple[str, ...]:
    notes = []
    if server.physics.reason:
        notes.append(server.physics.reason)
    if server.setup.load == "steady":
        notes.append(f"prompt length not published: {server.prompt} tokens assumed")
    if server.setup.restated:
        notes.append(
            f"columns count the GPUs twice; read as its id: TP {server.spread.tensor}, EP {server.spread.expert},"
            f" {server.setup.concurrency} users"
        )
    if server.setup.gpus is None:
        notes.append("number of GPUs not published")
    if shows_images(server.setup):
        notes.append("the encoder of images and its work on the host are not modelled")
    return tuple(notes)
