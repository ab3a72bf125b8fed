"""Times single steps of an in-process vLLM engine. Run by the engine's interpreter, which knows none of our code:

    python driver.py PLAN.json RESULTS.jsonl

One line of results says what the engine resolved its settings to; then each point of the grid, round after round,
adds one line with its steps, or with the reason why it could not be measured. A point has two phases:

    prefill   ┌ B prompts of I tokens, one token out each: every step computes prompts only
    decode    └ B prompts of I tokens; once all have their first token, S steps of B decodes each are timed

What a step computed follows from how it was set up (the scheduler fills its token budget first come, first
served), and is checked against which requests got a token; only the engine's public methods are used.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import sys
import time
from contextlib import nullcontext
from typing import Any

_WARM_UP_TOKENS, _WARM_UP_STEPS = 16, 8
Row = dict[str, Any]


class LockstepBrokenError(Exception):
    """The engine did not do what the phase was set up for."""


class Engine:
    """vLLM's engine with its settings, and the time of each of its steps."""

    def __init__(self, plan: dict[str, Any]) -> None:
        """Start it; raises whatever vLLM raises."""
        from vllm import EngineArgs, LLMEngine, SamplingParams

        begin = time.perf_counter()
        arguments, _ = EngineArgs.add_cli_args(_parser()).parse_known_args(plan["arguments"])
        self._engine = LLMEngine.from_engine_args(EngineArgs.from_cli_args(arguments))
        self.start_s = time.perf_counter() - begin
        self._sampling = SamplingParams
        self._adapters = _lora_requests(plan["adapters"])
        self._random = random.Random(plan["seed"])
        self._vocabulary = plan["vocabulary"]
        self._ranges = _nvtx_ranges()
        self._on_cpu = _on_cpu()
        self._count = 0
        config = self._engine.vllm_config
        self.budget = config.scheduler_config.max_num_batched_tokens
        self.chunks = bool(config.scheduler_config.enable_chunked_prefill)
        self.max_num_seqs = config.scheduler_config.max_num_seqs
        self.kv_tokens = _kv_tokens(config.cache_config)

    def facts(self) -> dict[str, Any]:
        """Return what the engine resolved its settings to."""
        import torch
        import vllm

        config = self._engine.vllm_config
        gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else None
        return {
            "engine_version": vllm.__version__,
            "kv_blocks": config.cache_config.num_gpu_blocks,
            "start_s": self.start_s,
            "device": gpu,
            "engine": {
                "generation": "v1",
                "max_num_seqs": self.max_num_seqs,
                "max_num_batched_tokens": self.budget,
                "chunked_prefill": self.chunks,
                "max_model_len": config.model_config.max_model_len,
                "block_size": config.cache_config.block_size,
                "enforce_eager": bool(config.model_config.enforce_eager),
                "enable_prefix_caching": bool(config.cache_config.enable_prefix_caching),
                "max_loras": getattr(config.lora_config, "max_loras", 0) if config.lora_config else 0,
                "max_lora_rank": getattr(config.lora_config, "max_lora_rank", 0) if config.lora_config else 0,
            },
        }

    def add(self, batch: int, tokens: int, output_tokens: int, adapters: int) -> list[str]:
        """Queue `batch` random prompts of `tokens` tokens; return their ids."""
        sampling = self._sampling(
            max_tokens=output_tokens, temperature=0.0, ignore_eos=True, detokenize=False
        )
        first, last = self._vocabulary
        names = []
        for place in range(batch):
            self._count += 1
            names.append(f"r{self._count}")
            prompt = {"prompt_token_ids": [self._random.randint(first, last) for _ in range(tokens)]}
            render = getattr(getattr(self._engine, "renderer", None), "render_cmpl", None)
            rendered = render([prompt])[0] if render else prompt  # versions before the renderer take it raw
            adapter = self._adapters[place % adapters] if adapters else None
            self._engine.add_request(names[-1], rendered, sampling, lora_request=adapter)
        return names

    def step(self, name: str) -> tuple[Row, list[str]]:
        """Carry out one step; return its times and the ids of the requests that got a token.

        On a CPU the time that this process computed is kept too: what is missing from the wall clock's, other
        processes had.
        """
        with self._ranges(name):
            begin, computed = time.perf_counter(), time.process_time()
            outputs = self._engine.step()
            seconds, computed = time.perf_counter() - begin, time.process_time() - computed
        times = {"duration_s": seconds, "cpu_s": computed if self._on_cpu else None}
        return times, [output.request_id for output in outputs]

    def busy(self) -> bool:
        """Whether any request is unfinished."""
        return bool(self._engine.has_unfinished_requests())

    def marked(self, name: str) -> Any:
        """Return a context that marks what runs in it for Nsight."""
        return self._ranges(name)

    def drop(self, names: list[str]) -> None:
        """End requests early."""
        self._engine.abort_request(names)
        while self.busy():
            self._engine.step()


def measure(engine: Engine, plan: dict[str, Any], point: dict[str, int]) -> list[Row]:
    """Return the steps of one point of the grid, as rows."""
    batch, tokens, adapters = point["batch"], point["input_tokens"], point["adapters"]
    steps = plan["decode_steps"]
    if batch * (tokens + steps + 2) > engine.kv_tokens:
        raise LockstepBrokenError(
            f"{batch} x {tokens + steps} tokens exceed the KV cache of {engine.kv_tokens}"
        )
    return _prefill(engine, batch, tokens, adapters) + _decode(engine, batch, tokens, adapters, steps)


def _prefill(engine: Engine, batch: int, tokens: int, adapters: int) -> list[Row]:
    rows = []
    with engine.marked(f"prefill {batch}x{tokens}"):
        engine.add(batch, tokens, 1, adapters)
        for number, work in enumerate(prefill_steps(batch, tokens, engine.budget, engine.chunks)):
            times, served = engine.step("step")
            if len(served) != work["finishing"]:
                raise LockstepBrokenError(
                    f"prefill step {number} ended {len(served)} prompts, {work['finishing']} were expected"
                )
            rows.append(
                {
                    "phase": "prefill",
                    "step": number,
                    "sequences": work["sequences"],
                    "prefill_tokens": work["tokens"],
                    "attention_pairs": work["pairs"],
                    "context_tokens": 0,
                    **times,
                }
            )
    if engine.busy():
        raise LockstepBrokenError("some prompts were not computed after the last prefill step")
    return rows


def _decode(engine: Engine, batch: int, tokens: int, adapters: int, steps: int) -> list[Row]:
    ramp = len(prefill_steps(batch, tokens, engine.budget, engine.chunks)) + batch
    names = engine.add(batch, tokens, steps + ramp + 2, adapters)
    generated = dict.fromkeys(names, 0)
    rows = []
    while not all(generated.values()):
        for name in engine.step("ramp")[1]:
            generated[name] += 1
    with engine.marked(f"decode {batch}x{tokens}"):
        for number in range(steps):
            context = batch * tokens + sum(generated.values())
            times, served = engine.step("step")
            if len(served) != batch:
                raise LockstepBrokenError(
                    f"decode step {number} gave {len(served)} tokens to {batch} requests"
                )
            for name in served:
                generated[name] += 1
            rows.append(
                {
                    "phase": "decode",
                    "step": number,
                    "sequences": batch,
                    "prefill_tokens": 0,
                    "attention_pairs": 0.0,
                    "context_tokens": context,
                    **times,
                }
            )
    engine.drop(names)
    return rows


def prefill_steps(batch: int, tokens: int, budget: int, chunks: bool) -> list[Row]:
    """Return what each step computes of `batch` prompts under a token budget, first come, first served.

    `pairs` is the sum over chunks of chunk x (context before it + chunk / 2), `finishing` the prompts that end.
    Without chunks a prompt enters a step whole or not at all.
    """
    left = [tokens] * batch
    steps = []
    while any(left):
        room, step = budget, {"tokens": 0, "sequences": 0, "pairs": 0.0, "finishing": 0}
        for place, missing in enumerate(left):
            chunk = min(missing, room)
            if not chunks and chunk < missing:
                break
            if chunk:
                before = tokens - missing
                step["pairs"] += chunk * (before + chunk / 2)
                step["tokens"] += chunk
                step["sequences"] += 1
                left[place] -= chunk
                step["finishing"] += left[place] == 0
                room -= chunk
        if not step["tokens"]:
            raise LockstepBrokenError(
                f"a prompt of {tokens} tokens exceeds the budget of {budget} tokens per step"
            )
        steps.append(step)
    return steps


def _parser() -> Any:
    try:
        from vllm.utils.argparse_utils import FlexibleArgumentParser
    except ImportError:
        from vllm.utils import FlexibleArgumentParser
    return FlexibleArgumentParser()


def _lora_requests(paths: list[str]) -> list[Any]:
    if not paths:
        return []
    from vllm.lora.request import LoRARequest

    return [LoRARequest(f"adapter-{number}", number + 1, path) for number, path in enumerate(paths)]


def _kv_tokens(cache: Any) -> int:
    known = getattr(cache, "kv_cache_size_tokens", None)
    return int(known or cache.num_gpu_blocks * cache.block_size)


def _on_cpu() -> bool:
    from vllm.platforms import current_platform

    return bool(current_platform.is_cpu())


def _nvtx_ranges() -> Any:
    """Return a function from a name to a context: NVTX ranges where CUDA is there, else nothing."""
    try:
        import torch

        if torch.cuda.is_available():
            return torch.cuda.nvtx.range
    except (ImportError, RuntimeError, AttributeError):
        pass
    return lambda name: nullcontext()


def main(plan_path: str, results_path: str) -> None:
    """Measure every point of the plan."""
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = (
        "0"  # the engine in this process: a step is a function call
    )
    with open(plan_path, encoding="utf-8") as stream:
        plan = json.load(stream)
    engine = Engine(plan)
    with open(results_path, "a", encoding="utf-8", buffering=1) as results:
        print(json.dumps({"facts": engine.facts()}), file=results)
        for point in _warm_up(plan["points"]):
            _prefill(engine, point["batch"], _WARM_UP_TOKENS, point["adapters"])
            _decode(engine, point["batch"], _WARM_UP_TOKENS, point["adapters"], _WARM_UP_STEPS)
        # the grid in rounds, so that a disturbance of a second does not fall on one point alone
        for repeat in range(plan["repeats"]):
            for point in plan["points"]:
                print(json.dumps(_line(engine, plan, point, repeat)), file=results)


def _line(engine: Engine, plan: dict[str, Any], point: dict[str, int], repeat: int) -> Row:
    try:
        steps = measure(engine, plan, point)
    except LockstepBrokenError as error:
        return {"point": point, "repeat": repeat, "left_out": str(error)}
    times = [row["duration_s"] for row in steps if row["phase"] == "decode"]
    print(f"round {repeat}, {point}: median decode step {1e3 * statistics.median(times):.3f} ms", flush=True)
    return {"point": point, "repeat": repeat, "steps": steps}


def _warm_up(points: list[dict[str, int]]) -> list[dict[str, int]]:
    """Return the grid's distinct batches and numbers of adapters: first uses compile and load."""
    seen = {(point["batch"], point["adapters"]): point for point in points}
    return list(seen.values())


if __name__ == "__main__":
    main(*sys.argv[1:])
