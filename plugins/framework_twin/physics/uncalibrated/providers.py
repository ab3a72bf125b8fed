"""Which provider prices the steps of a model without a fitted profile: measured operators, or the roofline."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from framework.errors import ConfigError
from framework_serving.hardware.catalogue import gpu_spec
from framework_serving.hardware.gpu_spec import GpuSpec
from framework_serving.hardware.model_shape import ModelShape
from framework_twin.physics.uncalibrated import operators
from framework_twin.physics.uncalibrated.deployment import Deployment
from framework_twin.physics.uncalibrated.kept_tables import kept_tables
from framework_twin.physics.uncalibrated.operators import NotCoveredError, operator_tables
from framework_twin.physics.uncalibrated.roofline_tables import roofline_tables
from framework_twin.physics.uncalibrated.step_tables import StepTables

PROVIDERS = ("auto", "profile", "operators", "roofline")
"""Words of `backend.physics`."""


@dataclass(frozen=True)
class Priced:
    """Tables of a step, without the engine's own work.

    Attributes:
        provider: `operators`, `operators (relative)` (those of a sister chip, scaled) or `roofline`.
        reason: why not a better provider; empty where the best one answered.
    """

    tables: StepTables
    provider: str
    reason: str = ""


def priced(shape: ModelShape, gpu: GpuSpec, deployment: Deployment, physics: str = "auto") -> Priced:
    """Return the step tables of the best provider that covers a deployment.

    Raises:
        ConfigError: `operators` is asked for and can't answer; says why.
    """
    deployment.check(shape)
    return _priced(shape, gpu, deployment, physics)


@lru_cache(maxsize=256)
def _priced(shape: ModelShape, gpu: GpuSpec, deployment: Deployment, physics: str) -> Priced:
    reason = "asked for"
    if physics != "roofline":
        try:
            return _operators(shape, gpu, deployment)
        except NotCoveredError as gap:
            reason = str(gap)
            if physics == "operators":
                raise ConfigError(f"backend.physics: operators can't price this: {reason}") from gap
    return Priced(roofline_tables(shape, gpu, deployment), "roofline", reason)


def _operators(shape: ModelShape, gpu: GpuSpec, deployment: Deployment) -> Priced:
    if not operators.installed():
        raise NotCoveredError("the extra is missing: pip install 'framework-lab[operators]'")
    name = gpu.name.lower()
    if name in operators.SYSTEMS:
        measured = kept_tables(shape, replace(gpu, peer_to_peer=True), deployment, operator_tables)
        return Priced(_reduced_through_host(measured, shape, gpu, deployment), "operators")
    if name not in operators.RELATIVES:
        raise NotCoveredError(f"no operator tables of {gpu.name}")
    sister = gpu_spec(operators.RELATIVES[name])
    measured = kept_tables(shape, sister, deployment, operator_tables)
    here, there = (
        roofline_tables(shape, one, deployment) for one in (replace(gpu, peer_to_peer=True), sister)
    )
    found = _reduced_through_host(_scaled(measured, here, there), shape, gpu, deployment)
    return Priced(found, "operators (relative)")


def _reduced_through_host(
    tables: StepTables, shape: ModelShape, gpu: GpuSpec, deployment: Deployment
) -> StepTables:
    """Return tables with what the way through the host adds, where GPUs don't reach each other's memory."""
    if gpu.peer_to_peer:
        return tables
    own, direct = (roofline_tables(shape, one, deployment) for one in (gpu, replace(gpu, peer_to_peer=True)))
    return replace(tables, products_s=tables.products_s + own.products_s - direct.products_s)


def _scaled(measured: StepTables, here: StepTables, there: StepTables) -> StepTables:
    """Return measured tables of one chip as another's, by the ratio of their rooflines at every point."""
    attention = float(np.sum(here.context_s + here.window_s) / np.sum(there.context_s + there.window_s))
    pairs = (here.pair_s + here.window_pair_s) / (there.pair_s + there.window_pair_s)
    return replace(
        measured,
        products_s=measured.products_s * here.products_s / there.products_s,
        context_s=measured.context_s * attention,
        window_s=measured.window_s * attention,
        pair_s=measured.pair_s * pairs,
        window_pair_s=measured.window_pair_s * pairs,
    )
