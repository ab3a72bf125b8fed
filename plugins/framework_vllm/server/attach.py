"""Servers that run already: any that speaks the OpenAI completions protocol."""

from __future__ import annotations

import os

from framework.contracts import WorkloadTables
from framework.errors import ConfigError, did_you_mean
from framework_vllm.client.load_contracts import Target
from framework_vllm.engine.command_line import adapter_name
from framework_vllm.models.served_adapters import adapter_folders, adapter_ranks, load_adapters
from framework_vllm.server.engine_facts import EngineFacts, read_facts, reported_version
from framework_vllm.server.http_get import NoAnswerError
from framework_vllm.server.serving_engines import ServingEngines
from framework_vllm.server.start_failures import EngineStartError
from framework_vllm.settings import VllmSettings


def attached(settings: VllmSettings, workload: WorkloadTables) -> ServingEngines:
    """Return the servers of `backend.urls`, ready for the workload.

    Adapters must be served there under our names (`adapter-0` …), or are loaded (`backend.lora_loading=runtime`).

    Raises:
        EngineStartError: one of them does not answer, or refuses an adapter.
        ConfigError: a model or an adapter that it does not serve.
    """
    headers = _authorization(settings.api_key_variable)
    ranks = adapter_ranks(workload)
    targets, facts = [], []
    for url in settings.urls:
        found = _facts(url, headers)
        name = _served_model(settings, url, found)
        if ranks and settings.lora_loading == "runtime":
            folders = adapter_folders(settings, settings.model_path or "", ranks)
            load_adapters(
                url, {key: path for key, path in folders.items() if key not in found.models}, headers
            )
        else:
            _check_adapters(url, found, [adapter_name(identity) for identity in ranks])
        targets.append(Target(url.rstrip("/"), name, headers))
        facts.append(found)
    return ServingEngines(tuple(targets), tuple(facts), lambda: None, ours=False)


def reported_versions(settings: VllmSettings) -> list[str]:
    """Return the version that each server of `backend.urls` reports; "unknown" for one that reports none."""
    headers = _authorization(settings.api_key_variable)
    return [reported_version(url.rstrip("/"), headers) or "unknown" for url in settings.urls]


def _authorization(variable: str | None) -> dict[str, str]:
    if variable is None:
        return {}
    token = os.environ.get(variable)
    if not token:
        raise ConfigError(f"backend.api_key_variable: environment variable '{variable}' is not set")
    return {"Authorization": f"Bearer {token}"}


def _facts(url: str, headers: dict[str, str]) -> EngineFacts:
    try:
        return read_facts(url.rstrip("/"), headers)
    except NoAnswerError as error:
        raise EngineStartError(f"backend.urls: {error}") from error


def _served_model(settings: VllmSettings, url: str, facts: EngineFacts) -> str:
    wanted = settings.served_model_name
    if wanted is None:
        if not facts.models:
            raise ConfigError(f"backend.urls: {url} lists no model; set backend.served_model_name")
        return facts.models[0]
    if facts.models and wanted not in facts.models:
        raise ConfigError(
            f"backend.served_model_name: {url} does not serve '{wanted}'{did_you_mean(wanted, facts.models)}"
        )
    return wanted


def _check_adapters(url: str, facts: EngineFacts, names: list[str]) -> None:
    for name in names:
        if name not in facts.models:
            raise ConfigError(
                f"backend.urls: {url} does not serve '{name}'; backend.lora_loading=runtime loads it there"
            )
