"""The load of what runs, next to its deployment: rates from a log of requests, or from the engines' own counters."""

from __future__ import annotations

import time
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from framework.analysis.prediction.libraries import learning_library
from framework.errors import InputError, UserError
from framework_serving.advice.capacity.adapter_sums import Adapters
from framework_serving.advice.capacity.workload_adapters import recorded_adapters
from framework_serving.advice.fleet.adapter_list import USUAL_TOKENS, Deployment, NamedAdapters
from framework_serving.workloads.trace import TraceWorkload

_TIMEOUT_S = 10.0
_SCRAPES = 5
_WAITING_SHARE = 0.4
"""Of the readings: with more in which an adapter waits for a slot, there are too few slots."""
_FULL_CACHE = 0.95


@dataclass(frozen=True)
class RunningLoad:
    """Adapters with the rates that were seen, and remarks on what is wrong already."""

    named: NamedAdapters
    remarks: tuple[str, ...] = ()


def logged_load(file: Path, column: str, deployment: Deployment | None, rank: int) -> RunningLoad:
    """Return the adapters of a log of requests: CSV or JSON, or a published trace format.

    Args:
        file: arrival, input and output tokens, and the adapter of each request.
        column: name of the adapter's column.
        deployment: ranks of its adapters are known; those that the log does not name have no requests.
        rank: of adapters that no deployment names.

    Raises:
        UserError: no adapter in the log, requests at one instant; names the file.
        InputError: a row that can't be read.
    """
    columns = {"adapter": column}
    built = TraceWorkload(file=str(file), columns=columns, sort=True).build(0)
    names = [str(name) for name in built.facts.get("adapter_names") or ()]
    if not names:
        raise UserError(f"{file}: no request names an adapter in column '{column}'; --adapter-column NAME")
    requests = built.tables["requests"]
    ranks = {} if deployment is None else deployment.ranks
    by_id = {place: ranks.get(name, rank) for place, name in enumerate(names)}
    adapters = recorded_adapters(requests, by_id, min(by_id.values()))  # the base model enlarges no slot
    unknown = [name for name in names if deployment is not None and name not in ranks]
    remarks = []
    if requests["adapter_id"].null_count:  # the base model's own are the first
        share = requests["adapter_id"].null_count / requests.num_rows
        remarks.append(
            f"{100 * share:.0f} % of the requests are for the base model; they are planned as one more adapter"
        )
        names = ["(base model)", *names]
    if unknown:
        remarks.append(f"not in the deployment, taken as rank {rank}: {', '.join(unknown[:5])}")
    silent = [name for name in ranks if name not in names]
    return RunningLoad(_with_silent(NamedAdapters(tuple(names), adapters), silent, ranks), tuple(remarks))


def _with_silent(named: NamedAdapters, silent: Sequence[str], ranks: Mapping[str, int]) -> NamedAdapters:
    if not silent:
        return named
    one, own = np.ones(len(silent)), named.adapters
    more = {
        "rate_rps": 0 * one,
        "rank": np.array([float(ranks[name]) for name in silent]),
        "input_mean": one * USUAL_TOKENS["input_tokens"],
        "input_std": one * USUAL_TOKENS["input_std"],
        "output_mean": one * USUAL_TOKENS["output_tokens"],
        "output_std": one * USUAL_TOKENS["output_std"],
        "own_variance": 0 * one,
    }
    joined = {name: np.concatenate([getattr(own, name), values]) for name, values in more.items()}
    return NamedAdapters((*named.names, *silent), Adapters(**joined, crowd_variance=own.crowd_variance))


@dataclass(frozen=True)
class Reading:
    """One reading of an engine's `/metrics`.

    Attributes:
        requests, prompt_tokens, output_tokens: counters since its start.
        slots: `max_lora`; None where the engine serves no adapter.
        running, waiting: names of adapters that run, and that wait for a slot.
        cache: use of the KV cache, 0 to 1; None where it is not reported.
    """

    requests: float
    prompt_tokens: float
    output_tokens: float
    slots: int | None
    running: frozenset[str]
    waiting: frozenset[str]
    cache: float | None


def read_metrics(text: str, source: str) -> Reading:
    """Return what a text in Prometheus' format says of a vLLM server.

    Raises:
        InputError: not such a text, or without vLLM's counters; names the source.
    """
    parser = learning_library("prometheus_client.parser")
    sums: dict[str, float] = defaultdict(float)
    latest: tuple[float, Mapping[str, str]] | None = None
    try:
        for family in parser.text_string_to_metric_families(text):
            for sample in family.samples:
                sums[sample.name] += sample.value
                if sample.name == "vllm:lora_requests_info" and (latest is None or sample.value >= latest[0]):
                    latest = (sample.value, sample.labels)  # its value is the time it was set
    except ValueError as error:
        raise InputError(f"{source}: not in Prometheus' format ({error})") from None
    needed = ("vllm:request_success_total", "vllm:prompt_tokens_total", "vllm:generation_tokens_total")
    missing = [name for name in needed if name not in sums]
    if missing:
        raise InputError(f"{source}: no {missing[0]}; is this the /metrics of a vLLM server?")
    labels = {} if latest is None else latest[1]
    names = [
        frozenset(item for item in labels.get(label, "").split(",") if item)
        for label in ("running_lora_adapters", "waiting_lora_adapters")
    ]
    slots = labels.get("max_lora", "")
    cache = next(
        (sums[key] for key in ("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc") if key in sums), None
    )
    requests, prompts, outputs = (sums[name] for name in needed)
    return Reading(
        requests,
        prompts,
        outputs,
        int(slots) if slots.isdigit() else None,
        names[0],
        names[1] - names[0],
        cache,
    )


def scraped_load(
    urls: Sequence[str],
    seconds: float,
    deployment: Deployment,
    fetch: Callable[[str], str] | None = None,
    wait: Callable[[float], None] = time.sleep,
) -> RunningLoad:
    """Return the deployment's adapters with rates scaled to what each engine counted over some seconds.

    vLLM counts requests over all adapters, so the shares of the adapters of one GPU are those of the deployment.

    Args:
        urls: of `/metrics`, one for each GPU of the deployment in its order.
        seconds: between the first and the last reading.
        deployment: what runs.
        fetch, wait: how a text is fetched, how time goes by.

    Raises:
        UserError: another number of URLs than of GPUs, a server that does not answer or was started again.
    """
    if len(urls) != len(deployment.gpus):
        raise UserError(
            f"--metrics: {len(urls)} URLs for {len(deployment.gpus)} GPUs of the deployment; one for each"
        )
    fetch = fetch or fetched
    readings: list[list[Reading]] = [[] for _ in urls]
    for scrape in range(_SCRAPES):
        if scrape:
            wait(seconds / (_SCRAPES - 1))
        for place, url in enumerate(urls):
            readings[place].append(read_metrics(fetch(url), url))
    names: list[str] = []
    rates, inputs, outputs, remarks = [], [], [], []
    for place, ((_, slots, members), seen) in enumerate(zip(deployment.gpus, readings, strict=True)):
        counted = seen[-1].requests - seen[0].requests
        if counted < 0:
            raise UserError(
                f"{urls[place]}: its counters fell: the server was started again while it was read"
            )
        planned = sum(deployment.rates[name] for name in members)
        tokens = [
            (after - before) / counted if counted else USUAL_TOKENS[key]
            for before, after, key in (
                (seen[0].prompt_tokens, seen[-1].prompt_tokens, "input_tokens"),
                (seen[0].output_tokens, seen[-1].output_tokens, "output_tokens"),
            )
        ]
        for name in members:
            names.append(name)
            share = deployment.rates[name] / planned if planned else 1.0 / len(members)
            rates.append(share * counted / seconds)
            inputs.append(max(tokens[0], 1.0))
            outputs.append(max(tokens[1], 1.0))
        remarks.append(f"GPU {place}: {counted / seconds:.3g} requests/s, planned {planned:.3g}")
        remarks += _troubles(place, slots, seen)
    if not any(rates):
        raise UserError(
            f"--metrics: no request was finished in {seconds:g} s, so there is no rate to plan for"
        )
    one = np.ones(len(names))
    adapters = Adapters(
        np.array(rates),
        np.array([float(deployment.ranks[name]) for name in names]),
        np.array(inputs),
        one * USUAL_TOKENS["input_std"],
        np.array(outputs),
        one * USUAL_TOKENS["output_std"],
        0 * one,
    )
    return RunningLoad(NamedAdapters(tuple(names), adapters), tuple(remarks))


def _troubles(place: int, planned_slots: int, seen: Sequence[Reading]) -> list[str]:
    found = []
    slots = seen[-1].slots
    if slots is not None and slots != planned_slots:
        found.append(f"GPU {place}: runs with --max-loras {slots}, the deployment says {planned_slots}")
    waiting = sum(bool(item.waiting) for item in seen) / len(seen)
    if waiting > _WAITING_SHARE:
        found.append(f"GPU {place}: adapters wait for a slot in {100 * waiting:.0f} % of the readings")
    full = [item.cache for item in seen if item.cache is not None]
    if full and min(full) > _FULL_CACHE:
        found.append(f"GPU {place}: the KV cache is full ({100 * min(full):.0f} % or more in all readings)")
    return found


def fetched(url: str) -> str:
    """Return the text at a URL. Raises `UserError` naming it where it does not answer."""
    if "://" not in url:
        url = f"http://{url}"
    if not url.startswith(("http://", "https://")):
        raise UserError(f"{url}: must begin with http:// or https://")
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as answer:
            return str(answer.read().decode("utf-8", "replace"))
    except OSError as error:
        raise UserError(f"{url}: does not answer ({error})") from None
