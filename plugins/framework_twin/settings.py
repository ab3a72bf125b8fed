"""The twin's configuration: the engine settings that users type, and vLLM's own defaults for what they leave out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from framework.errors import ConfigError
from framework_serving.engine_defaults import USES, engine_defaults
from framework_serving.engine_knobs import ReplicaKnobs
from framework_twin.physics.uncalibrated.deployment import Deployment
from framework_twin.physics.uncalibrated.speculation import Speculation

if TYPE_CHECKING:
    from framework_serving.hardware.gpu_spec import GpuSpec
    from framework_serving.hardware.model_shape import ModelShape


@dataclass
class TwinSettings(ReplicaKnobs):
    """`backend=twin`: the knobs of a real engine (`ReplicaKnobs`), and which model of it to use.

    A null knob is the default of the engine generation; null `kv_blocks` follow from the model's shape and the
    memory that is left.

    Attributes:
        engine: scheduler generation `v0` or `v1`; `auto` takes `v0` where chunked prefill is switched off (V1
            always chunks), else the one that a profile of this model and GPU was measured on, else `v1`.
        profile: `auto` (the fitted profile of this model, GPU, generation; else `roofline`), `roofline`
            (datasheet only), `published` (the formulas of arXiv 2508.08343), or a profile's file or name.
        profile_folder: where the user's own profiles are; one of them goes before a shipped one.
        front_end_s: time that a client waits for its first token in addition to the engine's time; null: the
            profile's.
        physics: what prices a step: `auto` (profile, else operators, else roofline), or one of them alone.
        speculative_tokens: tokens that are drafted for each sequence and step; null: no speculative decoding.
        speculative_acceptance: probability that a drafted token is kept, given those before it were.
        speculative_draft_share: time of drafting one token, as a share of the model's own step; 0: n-grams.
        adapters_preloaded: whether host memory contains the adapters when the run begins (vLLM's `--lora-modules`);
            false: each is read from disk at its first request.
        engine_version: version of vLLM, such as `0.11.0`, whose own defaults null knobs get, by GPU and use.
        engine_use: `server` (`vllm serve`) or `offline` (the class `LLM`): they have different defaults.
    """

    _target_: str = "framework_twin.backend.TwinBackend"
    name: str = "twin"
    engine: str = "auto"
    profile: str = "auto"
    profile_folder: str | None = None
    front_end_s: float | None = None
    adapters_preloaded: bool = True
    engine_version: str | None = None
    engine_use: str = "server"
    physics: str = "auto"
    speculative_tokens: int | None = None
    speculative_acceptance: float | None = None
    speculative_draft_share: float = 0.0

    def check(self) -> None:
        """Raise `ConfigError`, one line that names the key, for a value that no engine accepts."""
        super().check()
        self.check_word("engine", ("auto", "v0", "v1"))
        self.check_word("engine_use", USES)
        if self.engine_version is None:
            for key in ("max_num_seqs", "enable_prefix_caching"):
                if getattr(self, key) is None:
                    raise ConfigError(
                        f"backend.{key}: null, the engine's default, needs backend.engine_version"
                    )
            if self.engine_use != "server":
                raise ConfigError("backend.engine_use: without effect without backend.engine_version")
        self.check_word("physics", ("auto", "profile", "operators", "roofline"))
        if self.profile != "auto" and self.physics not in ("auto", "profile"):
            raise ConfigError(f"backend.physics: {self.physics} takes no profile; leave backend.profile out")
        self._check_speculation()
        if self.front_end_s is not None and not 0 <= self.front_end_s < float("inf"):
            raise ConfigError(
                f"backend.front_end_s: {self.front_end_s} is not a number of seconds of at least 0"
            )
        if self.engine == "v1" and self.chunked_prefill is False:
            raise ConfigError("backend.chunked_prefill: false needs engine v0; v1 always chunks prompts")

    def _check_speculation(self) -> None:
        self.check_counts("speculative_tokens", optional=True)
        stated = [
            key
            for key in ("speculative_acceptance", "speculative_draft_share")
            if getattr(self, key) not in (None, 0.0)
        ]
        if self.speculative_tokens is None:
            if stated:
                raise ConfigError(f"backend.{stated[0]}: without effect without backend.speculative_tokens")
            return
        if self.speculative_acceptance is None or not 0 <= self.speculative_acceptance <= 1:
            raise ConfigError(
                f"backend.speculative_acceptance: {self.speculative_acceptance} is not a probability, and"
                " backend.speculative_tokens needs one"
            )
        if not 0 <= self.speculative_draft_share < float("inf"):
            raise ConfigError(
                f"backend.speculative_draft_share: {self.speculative_draft_share} is not a share of at least 0"
            )
        if self.profile not in ("auto", "roofline"):
            raise ConfigError(
                f"backend.profile: '{self.profile}' was fitted without speculative decoding;"
                " backend.speculative_tokens takes operators or the roofline"
            )
        if self.physics == "profile":
            raise ConfigError("backend.physics: profiles were fitted without speculative decoding")

    @property
    def speculation(self) -> Speculation | None:
        """How the engine speculates; None where it doesn't."""
        if self.speculative_tokens is None:
            return None
        return Speculation(
            self.speculative_tokens, self.speculative_acceptance or 0.0, self.speculative_draft_share
        )

    def with_engine_defaults(self, shape: ModelShape, gpu: GpuSpec, lora: bool) -> TwinSettings:
        """Return the settings with the defaults of `engine_version` for null knobs; the same without a version.

        Raises:
            ConfigError: unknown version, or one of another scheduler generation than `engine`.
        """
        if self.engine_version is None:
            return self
        longest = self.max_model_len or shape.max_model_len
        found = engine_defaults(self.engine_version, gpu, self.engine_use, longest, lora)
        if self.engine not in ("auto", found.generation):
            raise ConfigError(
                f"backend.engine: '{self.engine}', but vLLM {self.engine_version} has {found.generation}"
            )
        if found.generation == "v1" and self.chunked_prefill is False:
            raise ConfigError(f"backend.chunked_prefill: vLLM {self.engine_version} always chunks prompts")
        seqs = found.max_num_seqs if self.max_num_seqs is None else self.max_num_seqs
        chunks = self.chunked_prefill
        if chunks is None and found.generation == "v0":
            chunks = found.chunked_prefill
        budget = self.max_num_batched_tokens
        if budget is None and (found.generation == "v1" or chunks):
            budget = max(found.max_num_batched_tokens or 512, seqs)
        caches = found.prefix_caching if self.enable_prefix_caching is None else self.enable_prefix_caching
        return replace(
            self,
            engine=found.generation,
            max_num_seqs=seqs,
            max_num_batched_tokens=budget,
            chunked_prefill=chunks,
            enable_prefix_caching=caches,
        )

    @property
    def deployment(self) -> Deployment:
        """How one engine is spread over its GPUs."""
        return Deployment(
            self.tensor_parallel, self.pipeline_parallel, self.data_parallel, self.expert_parallel
        )

    def token_budget(self, generation: str, max_model_len: int) -> int:
        """Return the tokens a step may compute: as set, else the default of the engine generation.

        V0 with chunked prefill took 512, without it a whole prompt must fit; V1 takes 2048. A default below
        `max_num_seqs`, which the engines refuse, is raised to it.
        """
        if self.max_num_batched_tokens is not None:
            return self.max_num_batched_tokens
        if generation == "v1":
            return max(2048, self.most_seqs)
        if self.chunks(generation):
            return max(512, self.most_seqs)
        return max(2048, max_model_len, self.most_seqs)

    def chunks(self, generation: str) -> bool:
        """Return whether prompts are computed in chunks, in the same steps as decodes."""
        return generation == "v1" or bool(self.chunked_prefill)
