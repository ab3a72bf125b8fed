"""The published adapter twin's formulas (arXiv 2508.08343 and its code), as a baseline.

Golden numbers are in adapter_serving.md §5. Kept as published, defects included: prefill costs nothing,
the adapter term was fitted at 300 slots, context plays no role.
"""

from __future__ import annotations

from dataclasses import dataclass

from framework_twin.physics.coefficients import StepCoefficients


@dataclass(frozen=True)
class PublishedTwin:
    """Coefficients of one model, in milliseconds: decode(B) = c1·B + c2, step = decode·(d1·A + d2)/100."""

    c1: float
    c2: float
    d1: float
    d2: float

    def decode_ms(self, batch: float) -> float:
        """Return milliseconds of a decode step without adapters."""
        return self.c1 * batch + self.c2

    def law(self, batch: float) -> StepCoefficients:
        """Return the law's coefficients that equal the published step at a given batch.

        The published step contains a product of batch and adapters, which the twin's law has not; it is
        linearised at `batch`, the mean number of running requests.
        """
        scale = self.d2 / 100.0
        zero = dict.fromkeys(StepCoefficients.__dataclass_fields__, 0.0)
        zero.update(
            host_s=self.c2 * scale * 1e-3,
            host_per_seq_s=self.c1 * scale * 1e-3,
            lora_large_step_share=1.0,
            lora_per_adapter_s=self.decode_ms(batch) * self.d1 / 100.0 * 1e-3,
        )
        return StepCoefficients(**zero)


PUBLISHED = {
    "llama-3.1-8b": PublishedTwin(0.0437994, 10.54174836, 1.93011757, 200.01448221),
    "qwen-2.5-7b": PublishedTwin(0.04894489, 10.61679297, 1.66851571, 177.69399315),
}


def published_twin(model: str) -> PublishedTwin | None:
    """Return the published coefficients for a model, or None where none were published."""
    return PUBLISHED.get(model.removesuffix("-instruct"))
