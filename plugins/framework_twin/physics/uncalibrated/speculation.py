"""Speculative decoding: several tokens drafted and verified at once, of which the first few are kept.

With k drafted tokens that are each accepted with probability a, a step keeps (1 − a^(k+1)) / (1 − a) tokens of
a sequence on average (Leviathan et al. 2023, arXiv 2211.17192, equation 1). It multiplies k + 1 tokens of each
sequence, reads weights and cache once, and pays for the drafts. The kernel still counts one token a sequence
and step: such a step stands for the share of a real one that falls to one token.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from framework_twin.physics.coefficients import StepCoefficients
from framework_twin.physics.power import Activity
from framework_twin.physics.uncalibrated.step_tables import MOST_DECODES, Floats, StepTables


@dataclass(frozen=True)
class Speculation:
    """How an engine speculates.

    Attributes:
        tokens: drafted for each sequence and step.
        acceptance: probability that a drafted token is kept, given those before it were.
        draft_share: time of drafting one token for a batch, as a share of the model's products for it.
    """

    tokens: int
    acceptance: float
    draft_share: float = 0.0

    @property
    def kept(self) -> float:
        """Mean tokens that a step yields for a sequence."""
        return float(sum(self.acceptance**place for place in range(self.tokens + 1)))

    def tables(self, plain: StepTables) -> StepTables:
        """Return a step's tables for one token of each sequence; tokens beyond `MOST_DECODES` are prompts."""
        decodes = np.minimum(plain.tokens, MOST_DECODES)

        def products(tokens: Floats) -> Floats:
            return np.asarray(np.interp(tokens, plain.tokens, plain.products_s))

        step = products(decodes * (1 + self.tokens)) + self.tokens * self.draft_share * products(decodes)
        return replace(
            plain,
            products_s=step / self.kept + plain.products_s - products(decodes),
            attend_s=plain.attend_s / self.kept,
            context_s=plain.context_s / self.kept,
            window_s=plain.window_s / self.kept,
        )

    def activity(self, counted: Activity) -> Activity:
        """Return what an accelerator does of what the kernel counts, one token of a sequence a step.

        A real step keeps several: weights and cache are read once for all of them, and drafts that are not kept are
        multiplied as well.
        """
        multiplied = (1 + self.tokens) / self.kept
        return replace(
            counted,
            tokens_s=counted.tokens_s + (multiplied - 1) * counted.sampled_s,
            context_tokens_s=counted.context_tokens_s / self.kept,
            steps_s=counted.steps_s / self.kept,
            sampled_s=counted.sampled_s * multiplied,
        )

    def coefficients(self, plain: StepCoefficients) -> StepCoefficients:
        """Return host work and sampling for one token of each sequence."""
        return replace(
            plain,
            host_s=plain.host_s / self.kept,
            kernel_per_seq_s=plain.kernel_per_seq_s * (1 + self.tokens) / self.kept,
        )
