"""The physics of a server without a fitted profile: provider, engine's work and adapters put together."""

from __future__ import annotations

from dataclasses import dataclass, replace

from framework_serving.hardware.gpu_spec import GpuSpec
from framework_serving.hardware.model_shape import ModelShape
from framework_twin.physics.coefficients import StepCoefficients
from framework_twin.physics.roofline import roofline
from framework_twin.physics.uncalibrated.deployment import Deployment
from framework_twin.physics.uncalibrated.engine_work import EngineWork, engine_works
from framework_twin.physics.uncalibrated.providers import priced
from framework_twin.physics.uncalibrated.step_tables import StepTables


@dataclass(frozen=True)
class StepPhysics:
    """What the kernel needs of an uncalibrated server, and where it comes from.

    Attributes:
        coefficients: host work, launches and adapters; zero for what the tables hold.
        tables: kernels over the tokens of a step.
        provider, reason: see `Priced`.
        work: the engine release's own work.
    """

    coefficients: StepCoefficients
    tables: StepTables
    provider: str
    reason: str
    work: EngineWork


def step_physics(
    shape: ModelShape,
    gpu: GpuSpec,
    deployment: Deployment,
    *,
    generation: str = "v1",
    release: str = "v1",
    physics: str = "auto",
    attention_backend: str = "FLASH_ATTN",
    work: EngineWork | None = None,
) -> StepPhysics:
    """Return the step physics of a deployment; `work` stands for that of the release (a fit tries others).

    Raises:
        ConfigError: the deployment can't exist, or the provider asked for can't answer.
    """
    deployment.check(shape)
    deployment = deployment.in_step(shape)
    found = priced(shape, gpu, deployment, physics)
    work = work or engine_works()[release]
    rest = roofline(shape, gpu, generation, attention_backend=attention_backend)
    tables = work.around(found.tables, shape, gpu)
    coefficients = replace(
        rest,
        host_s=work.host(shape, deployment),
        host_per_seq_s=work.sequence_s,
        hidden_host_per_seq_s=0.0,
        prefill_step_s=work.prompts(shape),
        weights_s=0.0,
        compute_per_token_s=0.0,
        kernel_s=0.0,
        kernel_per_seq_s=work.sampling_s(shape),
        per_context_token_s=work.context_s,
        prefill_per_attention_s=tables.pair_s,
    )
    return StepPhysics(coefficients, tables, found.provider, found.reason, work)
