"""Calibrated profiles: coefficients with the runs, the error and the range they come from.

A profile belongs to models of one shape, a GPU, an engine generation and a weight type. The shipped ones
are YAML files in `profiles/`, those of the user in a folder of his; `find_profile` chooses one, `StepModel` falls
back to the roofline.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from framework.errors import ConfigError, InputError, did_you_mean
from framework_serving.hardware.catalogue import gpu_spec, model_shape
from framework_serving.hardware.gpu_spec import GpuSpec
from framework_serving.hardware.model_shape import ModelShape
from framework_twin.physics.adapter_loads import UNCALIBRATED_LOADS, AdapterLoadTimes
from framework_twin.physics.coefficients import COEFFICIENT_NAMES, StepCoefficients
from framework_twin.physics.derived_bands import Band, with_derived
from framework_twin.physics.power import PowerCoefficients, datasheet_power
from framework_twin.physics.regimes import EVERY_REGIME
from framework_twin.physics.roofline import roofline
from framework_twin.physics.uncalibrated.deployment import Deployment
from framework_twin.physics.uncalibrated.engine_work import release_of
from framework_twin.physics.uncalibrated.speculation import Speculation
from framework_twin.physics.uncalibrated.step_physics import step_physics
from framework_twin.physics.uncalibrated.step_tables import StepTables

FRONT_END_S = 6e-3
"""Time that a client waits for its first token in addition to the engine's time: HTTP, tokenising, the way between
processes.

For the roofline and for profiles without lightly loaded runs: a median of measured minus simulated mean TTFT of
lightly loaded V1 servers (under 10 running requests). Other profiles have their own
(`calibration.profile_fit.fit_front_end`).
"""

PROFILE_FOLDER = Path(__file__).parents[1] / "profiles"


@dataclass(frozen=True)
class ValidRange:
    """What the fitted runs covered; outside it a prediction is an extrapolation."""

    max_batch: int
    max_context_tokens: int
    max_slots: int = 0
    max_rank: int = 0

    def warnings(self, batch: int, context: int, slots: int, rank: int) -> list[str]:
        """Return one line for each quantity that leaves the range."""
        asked = {
            "running requests": (batch, self.max_batch),
            "context tokens": (context, self.max_context_tokens),
            "adapter slots": (slots, self.max_slots),
            "adapter rank": (rank, self.max_rank),
        }
        return [
            f"{name} {value} outside the calibrated range (up to {limit})"
            for name, (value, limit) in asked.items()
            if value > limit
        ]


@dataclass(frozen=True)
class FitRecord:
    """Which runs a profile was fitted on and how well it does.

    Attributes:
        runs: number of runs; runs_hash: digest of their sorted ids; families: where they come from.
        in_sample, held_out: metric to median absolute percentage error; held out leaves a family out.
        relative_std: coefficient to relative standard deviation.
        command: what writes the profile again, "" where it is not known; data_hash: digest of the file of its runs.
    """

    runs: int
    runs_hash: str
    families: tuple[str, ...]
    in_sample: Mapping[str, float] = field(default_factory=dict)
    held_out: Mapping[str, float] = field(default_factory=dict)
    relative_std: Mapping[str, float] = field(default_factory=dict)
    command: str = ""
    data_hash: str = ""


@dataclass(frozen=True)
class TwinProfile:
    """Calibrated coefficients of models on a GPU under an engine.

    Attributes:
        models: names that share the shape; engine: version prefix it is limited to ("" = any of the generation).
        front_end_s: seconds from a request's sending to the engine, and from a token to the client.
        intervals: metric to regime to (low, high) factors on a prediction, an 80 % band.
    """

    name: str
    models: tuple[str, ...]
    gpu: str
    generation: str
    dtype: str
    coefficients: StepCoefficients
    valid: ValidRange
    fit: FitRecord
    engine: str = ""
    loads: AdapterLoadTimes | None = None
    power: PowerCoefficients | None = None
    front_end_s: float = FRONT_END_S
    intervals: Mapping[str, Mapping[str, tuple[float, float]]] = field(default_factory=dict)

    def bands(self, regime: str) -> dict[str, Band]:
        """Return metric → (low, high) factors in a regime: the profile's, and those that follow from them."""
        return with_derived(
            {metric: found.get(regime) or found[EVERY_REGIME] for metric, found in self.intervals.items()}
        )

    def is_of(self, model: str) -> bool:
        """Return whether the profile is of the model of this name, in capitals or not."""
        return model.lower() in map(str.lower, self.models)


@dataclass(frozen=True)
class StepModel:
    """What a simulation needs of the physics, calibrated or not.

    `touches_first` is that of `EngineConfig`: the published twin takes it so, the engine does not.
    """

    coefficients: StepCoefficients
    loads: AdapterLoadTimes
    power: PowerCoefficients
    profile: TwinProfile | None
    front_end_s: float = FRONT_END_S
    tables: StepTables | None = None
    provider: str = "profile"
    reason: str = ""
    touches_first: bool = False

    def law(self, *, eager: bool = False, mps: bool = True) -> npt.NDArray[np.float64]:
        """Return the parameter vector of the step-time law, with the tables behind it where there are any."""
        vector = self.coefficients.law(eager=eager, mps=mps)
        return vector if self.tables is None else self.tables.behind(vector)

    @property
    def power_calibrated(self) -> bool:
        """Whether measured power is behind the watts."""
        return self.profile is not None and self.profile.power is not None

    @property
    def calibrated(self) -> bool:
        """Whether a profile is behind the coefficients."""
        return self.profile is not None


def step_model(
    model: str,
    gpu: str,
    generation: str,
    *,
    engine: str = "",
    dtype: str = "auto",
    attention_backend: str = "FLASH_ATTN",
    deployment: Deployment | None = None,
) -> StepModel:
    """Return calibrated physics where a profile fits, else the roofline of shape and datasheet.

    A profile was measured on one GPU, so several never take it.
    """
    profile = None
    if deployment is None or deployment.gpus == 1:
        profile = find_profile(model, gpu, generation, engine=engine, dtype=dtype)
    shape, spec = model_shape(model), gpu_spec(gpu)
    return assembled(shape, spec, generation, profile, attention_backend, deployment)


def assembled(
    shape: ModelShape,
    gpu: GpuSpec,
    generation: str,
    profile: TwinProfile | None,
    attention_backend: str = "FLASH_ATTN",
    deployment: Deployment | None = None,
    physics: str = "auto",
    engine_version: str | None = None,
    speculation: Speculation | None = None,
) -> StepModel:
    """Return the physics of a profile, without one that of a provider; what a profile lacks is the datasheet's."""
    power = datasheet_power(shape, gpu)
    if profile is not None:
        loads = profile.loads or UNCALIBRATED_LOADS
        return StepModel(profile.coefficients, loads, profile.power or power, profile, profile.front_end_s)
    if (
        physics == "auto"
        and speculation is None
        and _known_by_profiles(shape, gpu, deployment or Deployment())
    ):
        coefficients = roofline(shape, gpu, generation, attention_backend=attention_backend)
        return StepModel(coefficients, UNCALIBRATED_LOADS, power, None, provider="roofline", reason=_SISTERS)
    found = step_physics(
        shape,
        gpu,
        deployment or Deployment(),
        generation=generation,
        release=release_of(generation, engine_version, architecture=gpu.architecture),
        physics=physics,
        attention_backend=attention_backend,
    )
    coefficients, tables = found.coefficients, found.tables
    if speculation is not None:
        coefficients, tables = speculation.coefficients(coefficients), speculation.tables(tables)
    return StepModel(
        coefficients,
        UNCALIBRATED_LOADS,
        power,
        None,
        front_end_s=found.work.front_end_s,
        tables=tables,
        provider=found.provider,
        reason=found.reason,
    )


_SISTERS = "efficiencies of the profiles of other models on this GPU"
_ENOUGH_PROFILES = 3


def _known_by_profiles(shape: ModelShape, gpu: GpuSpec, deployment: Deployment) -> bool:
    """Return whether enough models were fitted on this very GPU: its efficiencies then come from them.

    They are those of dense models in 16 bits on one GPU.
    """
    plain = not (shape.experts or shape.kv_rank or shape.linear_layers or shape.window_share)
    if deployment.gpus > 1 or not plain or shape.weight_type or shape.kv_type:
        return False
    here = [profile for profile in shipped_profiles() if profile.gpu.lower() == gpu.name.lower()]
    return len(here) >= _ENOUGH_PROFILES


def find_profile(
    model: str,
    gpu: str,
    generation: str,
    *,
    engine: str = "",
    dtype: str = "auto",
    folder: Path | None = None,
) -> TwinProfile | None:
    """Return the profile for these, preferring one limited to this engine version; None if there is none.

    `dtype` is `float16`, `bfloat16` or `auto`, which takes either. A profile in `folder` goes before a shipped
    one; of several there the last by name. It was made for this engine, so its version need not be asked
    for. Raises `InputError` for a file in the folder that is not a profile.
    """

    def fits(profile: TwinProfile) -> bool:
        return (
            profile.is_of(model)
            and profile.gpu.lower() == gpu.lower()
            and profile.generation == generation
            and dtype in (profile.dtype, "auto")
        )

    own = [profile for profile in user_profiles(folder) if fits(profile)]
    if own:
        return own[-1]
    shipped = [profile for profile in shipped_profiles() if fits(profile) and profile.engine in engine]
    return max(shipped, key=lambda profile: len(profile.engine), default=None)


def named_profile(name: str, folder: Path | None = None) -> TwinProfile:
    """Return a profile of the user or a shipped one by name. Raises `ConfigError` if it is unknown."""
    known = {profile.name: profile for profile in (*shipped_profiles(), *user_profiles(folder))}
    if name not in known:
        choices = [*known, "auto", "roofline", "published"]
        raise ConfigError(f"backend.profile: unknown profile '{name}'{did_you_mean(name, choices)}")
    return known[name]


@cache
def shipped_profiles() -> tuple[TwinProfile, ...]:
    """Return all shipped profiles."""
    return tuple(read_profile(path) for path in sorted(PROFILE_FOLDER.glob("*.yaml")))


def user_profiles(folder: Path | None) -> tuple[TwinProfile, ...]:
    """Return the profiles in a user's folder by name; none where there is no folder."""
    if folder is None:
        return ()
    return tuple(_read_once(path, path.stat().st_mtime_ns) for path in sorted(folder.glob("*.yaml")))


@cache
def _read_once(path: Path, changed_ns: int) -> TwinProfile:
    return read_profile(path)


def read_profile(path: Path) -> TwinProfile:
    """Read a profile file. Raises `InputError` naming the file and the key that is wrong."""
    import yaml  # type: ignore[import-untyped]

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times faster, where PyYAML was built with it
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=loader)
        return _from_dict(content)
    except (OSError, yaml.YAMLError) as error:
        raise InputError(f"{path}: can't be read as a profile: {error}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: not a valid profile: {error}") from error


def write_profile(profile: TwinProfile, path: Path) -> None:
    """Write a profile file that `read_profile` reads back."""
    import yaml

    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(_plain(asdict(profile)), sort_keys=False, width=110), encoding="utf-8")


def _from_dict(content: dict[str, Any]) -> TwinProfile:
    values = dict(content)
    coefficients = values.pop("coefficients")
    for name in COEFFICIENT_NAMES:
        if name in coefficients and not coefficients[name] >= 0:
            raise ValueError(f"coefficients.{name}: {coefficients[name]} is not a non-negative number")
    if not values.get("front_end_s", 0.0) >= 0:
        raise ValueError(f"front_end_s: {values['front_end_s']} is not a non-negative number")
    fit = values.pop("fit")
    valid = ValidRange(**values.pop("valid"))
    loads, power = values.pop("loads", None), values.pop("power", None)
    intervals = values.pop("intervals", None) or {}
    return TwinProfile(
        **{**values, "models": tuple(values["models"])},
        coefficients=StepCoefficients(**coefficients),
        valid=valid,
        fit=FitRecord(**{**fit, "families": tuple(fit["families"])}),
        loads=AdapterLoadTimes(**loads) if loads else None,
        power=PowerCoefficients(**power) if power else None,
        intervals={m: {r: (low, high) for r, (low, high) in v.items()} for m, v in intervals.items()},
    )


def _plain(value: Any) -> Any:
    """Turn tuples and mappings into what YAML writes, and shorten floats to what a fit can know."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value
