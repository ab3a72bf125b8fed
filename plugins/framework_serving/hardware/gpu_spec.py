"""Datasheet facts of an accelerator."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class GpuSpec:
    """What a datasheet, or the device itself, says (`conf/gpu/`).

    Attributes:
        name: as used in run tables (`H100-64GB`).
        memory_gib: memory a process can see, GiB.
        bandwidth_tb_s: peak memory bandwidth, 10^12 bytes per second.
        fp16_tflops: peak dense half-precision rate with 32-bit accumulation, 10^12 operations per second.
        tdp_w: board power limit, watts.
    """

    name: str
    memory_gib: float
    bandwidth_tb_s: float
    fp16_tflops: float
    tdp_w: float
