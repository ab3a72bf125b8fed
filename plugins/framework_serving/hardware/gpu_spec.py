"""Datasheet facts of an accelerator."""

from __future__ import annotations

from dataclasses import dataclass

INTERCONNECTS = ("nvlink", "pcie", "xgmi", "xelink", "none")
"""How the accelerators of one machine are joined."""


@dataclass(frozen=True)
class GpuSpec:
    """What a datasheet, or the device itself, says (`conf/gpu/`).

    Attributes:
        name: as used in run tables (`H100-64GB`).
        memory_gib: memory a process can see, GiB.
        bandwidth_tb_s: peak memory bandwidth, 10^12 bytes per second.
        fp16_tflops: peak dense half-precision rate with 32-bit accumulation, 10^12 operations per second.
        tdp_w: board power limit, watts.
        fp8_tflops, fp4_tflops: peak dense rates of 8 and 4 bits; 0 where the device has no such products.
        architecture: generation of the chip (`ampere`, `ada`, `hopper`, `blackwell`, `cdna3` …).
        interconnect: one of `INTERCONNECTS`.
        link_gb_s: rate to the other accelerators of a machine, one direction, 10^9 bytes per second.
        peer_to_peer: whether they reach each other's memory; otherwise what they exchange goes through the host's.
        gpus_per_node: accelerators that the interconnect joins; beyond it the network counts.
        network_gb_s: rate to another machine, one direction and accelerator.
        idle_w: watts of an idle device with memory in use; 0 where nobody has said.
    """

    name: str
    memory_gib: float
    bandwidth_tb_s: float
    fp16_tflops: float
    tdp_w: float
    fp8_tflops: float = 0.0
    fp4_tflops: float = 0.0
    architecture: str = ""
    interconnect: str = "nvlink"
    link_gb_s: float = 150.0
    peer_to_peer: bool = True
    gpus_per_node: int = 8
    network_gb_s: float = 25.0
    idle_w: float = 0.0

    def rate_tflops(self, rate: str) -> float:
        """Return the peak rate of products of `rate` bits (`16`, `8`, `4`), at the next wider type the device has.

        A device without 8- or 4-bit products widens the numbers as it reads them.
        """
        if rate == "32":
            return self.fp16_tflops / 2
        if rate == "4" and self.fp4_tflops:
            return self.fp4_tflops
        if rate == "8" and self.fp8_tflops:
            return self.fp8_tflops
        return self.fp16_tflops
