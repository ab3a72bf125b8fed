"""The physical coefficients of a model on a GPU under one engine generation."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields

import numpy as np
import numpy.typing as npt

from framework_twin.physics.step_time import parameter_vector

TIME_SLICE_FACTOR = 1.15
"""Cost of a replica's kernels when processes take turns on the GPU instead of sharing it under MPS.

An assumption (context switches and no overlap of small kernels), not a measurement: no run in the data
shares a GPU without MPS.
"""


@dataclass(frozen=True)
class StepCoefficients:
    """What the step-time law needs to know; non-negative, names in `_s` are seconds (`step_time.PARAMETERS`).

    Attributes:
        host_s, host_per_seq_s: serial host work of a step, and per sequence in it.
        weights_s: one pass over the weights at the bandwidth that matrix kernels reach.
        compute_per_token_s: matrix products of one token at the rate that large batches reach.
        kernel_s, kernel_per_seq_s: kernels that are neither products nor attention (norms, sampling).
        per_context_token_s: reading one token's keys and values in decode attention.
        prefill_step_s: host work of a step that holds prompt tokens.
        launch_s: launching a forward pass kernel by kernel, where no CUDA graph is replayed.
        hidden_host_per_seq_s: handling a running request's last token, hidden behind the GPU's work unless
            the step is short.
        prefill_per_attention_s: one (query, key) pair of prompt attention.
        lora_s, lora_per_slot_s: adapter kernels of a step, and per configured slot.
        lora_per_adapter_s: one more distinct adapter in the batch.
        lora_per_prefill_token_s: one prompt token in adapter kernels.
        lora_per_slot_token_s: any token of the step per configured slot: the grid of the kernels has a block for each
            slot and tile of tokens, with or without work.
        lora_rank_share: share of the last but one and of `lora_per_adapter_s` that is proportional to the
            rank of the slots, at rank 16; not a time.
        scheduler_per_waiting_s: passing over one waiting request while every slot is taken.
        lora_per_rank_token_s: any token where slots of rank 16 are configured, with or without adapters in the batch;
            proportional to the rank.
        lora_large_step_share: `lora_per_adapter_s` in steps of at least 128 tokens over that in smaller ones; not a
        time.
    """

    host_s: float
    host_per_seq_s: float
    weights_s: float
    compute_per_token_s: float
    kernel_s: float
    kernel_per_seq_s: float
    per_context_token_s: float
    prefill_step_s: float
    launch_s: float
    hidden_host_per_seq_s: float
    prefill_per_attention_s: float
    lora_s: float
    lora_per_slot_s: float
    lora_per_adapter_s: float
    lora_per_prefill_token_s: float
    lora_per_slot_token_s: float
    lora_rank_share: float
    scheduler_per_waiting_s: float
    lora_per_rank_token_s: float = 0.0
    lora_large_step_share: float = 1.0

    def law(self, *, eager: bool = False, mps: bool = True) -> npt.NDArray[np.float64]:
        """Return the parameter vector of `step_seconds`.

        `eager` means that decode steps replay no CUDA graphs; `mps` that replicas on one GPU share it
        under MPS instead of taking turns (no effect with one replica).
        """
        sharing = 1.0 if mps else TIME_SLICE_FACTOR
        return parameter_vector(**asdict(self), decode_is_eager=float(eager), sharing_factor=sharing)


COEFFICIENT_NAMES = tuple(field.name for field in fields(StepCoefficients))
"""Names of all coefficients, in the order of the law's vector."""
