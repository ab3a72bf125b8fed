"""What a server may carry from one run into the next, and what was done about it: reset, kept apart, or told.

A prefix cache answers prompts that it has seen before, and the runs of a sweep send the same prompts. Engines of ours
are new, or their cache is emptied before a run (`kept_fleet`). Servers of others get prompts with a salt of the run:
blocks cached under another salt are no hits, while prompts of one run still share theirs. Where neither is possible,
the run says so. Weights of adapters that earlier runs have loaded can't be unloaded from outside: vLLM's
`/v1/unload_lora_adapter` takes away the name alone (its source, 0.32). So an engine of ours with adapters serves one
run, and runs on servers of others are flagged.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from framework.contracts import Json, SanityCheck, WorkloadTables
from framework_vllm.server.engine_facts import EngineFacts
from framework_vllm.server.http_get import NoAnswerError, post_json
from framework_vllm.server.serving_engines import ServingEngines
from framework_vllm.settings import VllmSettings

_TIMEOUT_S = 10.0
_SALT = "cache_salt"
_SALTED_SINCE = (0, 9)
"""First version of vLLM whose requests have a `cache_salt` (its release notes)."""


@dataclass(frozen=True)
class CarriedState:
    """State of the servers at the begin of a run.

    Attributes:
        prefix_cache: `off`, `new`, `reset`, `salted`, or `carried`: earlier prompts may be in it.
        adapters: `none`, `new`, or `carried`: earlier runs may have loaded them.
        runs_before: runs of ours that the servers have served; None where that is not known.
        extra_body: what to add to each request's body.
    """

    prefix_cache: str
    adapters: str
    runs_before: int | None
    extra_body: Mapping[str, Any] = field(default_factory=dict)

    def facts(self) -> dict[str, Json]:
        """Return the state as a fact of the run."""
        return {
            "prefix_cache": self.prefix_cache,
            "adapters": self.adapters,
            "runs_before": self.runs_before,
        }

    def check(self) -> SanityCheck:
        """Return whether the run began as if it were the first one."""
        doubts = []
        if self.prefix_cache == "carried":
            doubts.append(
                "prompts of earlier runs may be in the prefix cache: restart the server without prefix caching, or "
                "with VLLM_SERVER_DEV_MODE=1 so that it can be emptied"
            )
        if self.adapters == "carried":
            doubts.append("adapters may be loaded already by earlier runs: their first requests wait less")
        words = "; ".join(doubts) or f"prefix cache {self.prefix_cache}, adapters {self.adapters}"
        if self.adapters == "new":
            words += " with an engine of this run's own: one that runs can't be made to forget their weights"
        return SanityCheck("carried_state", "warn" if doubts else "pass", words)


def carried_state(
    engines: ServingEngines, settings: VllmSettings, workload: WorkloadTables, run_id: str
) -> CarriedState:
    """Return the state in which a run finds its servers, after what can be done about it."""
    table = workload.tables["requests"]
    with_adapters = (
        table["adapter_id"].null_count < table.num_rows if "adapter_id" in table.column_names else False
    )
    fresh = engines.ours and not engines.runs_before
    adapters = "none" if not with_adapters else "new" if fresh else "carried"
    if all(_caches_nothing(facts) for facts in engines.facts) and engines.facts:
        return CarriedState("off", adapters, engines.runs_before)
    if engines.ours:
        return CarriedState("reset" if engines.runs_before else "new", adapters, engines.runs_before)
    if _SALT in settings.extra_body:
        return CarriedState("salted", adapters, None)
    if engines.facts and all(_takes_salt(facts) for facts in engines.facts):
        return CarriedState("salted", adapters, None, {_SALT: run_id})
    if all(empty_prefix_cache(target.url, target.headers) for target in engines.targets):
        return CarriedState("reset", adapters, None)
    return CarriedState("carried", adapters, None)


def empty_prefix_cache(url: str, headers: Mapping[str, str] | None = None) -> bool:
    """Have a server forget the prefixes that it has cached; return whether it did. vLLM does in developer mode."""
    try:
        post_json(url, "/reset_prefix_cache", {}, _TIMEOUT_S, headers)
    except NoAnswerError:
        return False
    return True


def _caches_nothing(facts: EngineFacts) -> bool:
    return facts.cache_config.get("enable_prefix_caching") == "False"


def _takes_salt(facts: EngineFacts) -> bool:
    found = re.match(r"(\d+)\.(\d+)", facts.version or "")
    return found is not None and (int(found[1]), int(found[2])) >= _SALTED_SINCE
