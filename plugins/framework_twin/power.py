"""Power and energy of a simulated run, from what the GPU was busy with.

Mean power is idle power plus, for each kind of work, its share of the time times the watts it adds:
streaming weights, reading the KV cache, computing, and waiting for the host with the model's kernels
loaded. Fitted on `measured_power_mean_w` of the memory_gap runs; see docs/twin_physics.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_MEMORY = ("weights", "kv")
_COMPUTE = ("compute", "prefill", "lora")
_HOST = ("host", "scheduler", "adapter_load")


@dataclass(frozen=True)
class PowerCoefficients:
    """Watts of one GPU.

    Attributes:
        idle_w: with the model loaded and nothing to do.
        memory_w, compute_w, host_w: added while it streams memory, computes, or waits for the host
            between kernels.
    """

    idle_w: float
    memory_w: float
    compute_w: float
    host_w: float

    def mean_w(self, component_s: Mapping[str, float], duration_s: float) -> float:
        """Return mean watts over `duration_s`, given seconds by component summed over the replicas on one GPU.

        Host time of one replica passes under the kernels of another, so shares above the whole are cut
        in the order host, then the rest in proportion.
        """
        shares = busy_shares(component_s, duration_s)
        return self.idle_w + self.memory_w * shares[0] + self.compute_w * shares[1] + self.host_w * shares[2]


def busy_shares(component_s: Mapping[str, float], duration_s: float) -> tuple[float, float, float]:
    """Return the shares of the time in which the GPU streams memory, computes, and waits for the host."""
    memory, compute, host = (
        sum(component_s.get(name, 0.0) for name in names) / duration_s for names in (_MEMORY, _COMPUTE, _HOST)
    )
    kernels = memory + compute
    if kernels > 1.0:
        memory, compute, kernels = memory / kernels, compute / kernels, 1.0
    return memory, compute, min(host, 1.0 - kernels)


def energy_j(mean_w: float, duration_s: float) -> float:
    """Return joules of a window of `duration_s` at `mean_w`."""
    return mean_w * duration_s
