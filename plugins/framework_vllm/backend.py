"""`backend=vllm`: the real engine under load, with the same tables as its twin."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framework.contracts import Result, RunContext, WorkloadTables
from framework.errors import ConfigError, InputError
from framework_serving.engine_knobs import checked_settings
from framework_vllm.settings import VllmSettings

if TYPE_CHECKING:
    from framework_vllm.client.load_contracts import LoadOutcome, LoadPlan
    from framework_vllm.engine.command_line import LoraPlan
    from framework_vllm.engine.interpreter import Engine
    from framework_vllm.engine_metrics.scraper import MetricScraper
    from framework_vllm.server.engine_server import EngineCommand
    from framework_vllm.server.placement import Place
    from framework_vllm.server.serving_engines import ServingEngines

_START_SHARE = 0.3
"""Part of the progress bar for the start; the rest is the load."""


class VllmBackend:
    """Starts vLLM servers, or attaches to running ones, and sends them the workload.

    Keys: see `VllmSettings`.
    """

    def __init__(self, **keys: Any) -> None:
        self.settings: VllmSettings = checked_settings(VllmSettings, keys)

    def fingerprint(self) -> str:
        """Return the version of the engine, asked before it starts; of running servers, those that they report."""
        if self.settings.attached:
            from framework_vllm.server.attach import reported_versions

            return " ".join(reported_versions(self.settings))
        from framework_vllm.engine.interpreter import find_engine, interpreter_words

        return find_engine(interpreter_words(self.settings.python, self.settings.command)).label

    def check(self, workload: WorkloadTables) -> None:
        """Raise `ConfigError` for what could not start or could not be served, before anything starts."""
        from framework_vllm.load_plan import open_requests, vocabulary
        from framework_vllm.models.served_adapters import adapter_ranks, check_adapters

        requests = workload.tables.get("requests")
        if requests is None or "input_tokens" not in requests.column_names:
            raise ConfigError(
                "configuration group 'workload': backend 'vllm' serves requests of token counts"
            )
        if requests.num_rows == 0:
            raise InputError("requests: the workload has no requests")
        vocabulary(self.settings)
        open_requests(self.settings, workload)
        check_adapters(self.settings, adapter_ranks(workload))
        if not self.settings.attached:
            self._check_engine(workload)

    def _check_engine(self, workload: WorkloadTables) -> None:
        from framework_vllm.engine.command_line import engine_arguments
        from framework_vllm.engine.device_check import installed_gpus
        from framework_vllm.models.model_source import check_model
        from framework_vllm.server.mps import require_program
        from framework_vllm.server.placement import places

        check_model(self.settings)
        engine, lora = self._engine_and_lora(workload)
        engine_arguments(self.settings, engine, lora, memory_share=1.0, replicas=self.settings.replicas)
        places(self.settings, engine.platform, installed=len(installed_gpus()) or None)
        if self._wants_mps(engine):
            require_program()

    def run(self, workload: WorkloadTables, context: RunContext) -> Result:
        """Start, load, measure, stop.

        Raises:
            EngineStartError: an engine did not get ready, with the cause from its log.
            EngineDiedError: one ended in the middle of the run.
            LoadFailedError: too many requests failed (`backend.max_failed_share`).
        """
        with self.engines(workload, context) as engines:
            return self.measure(engines, workload, context)

    def measure(self, engines: ServingEngines, workload: WorkloadTables, context: RunContext) -> Result:
        """Send the workload to servers that are ready; raises like `run`."""
        from framework_vllm.engine_metrics.scraper import MetricScraper
        from framework_vllm.load_plan import load_plan
        from framework_vllm.server.carried_state import carried_state
        from framework_vllm.serving_result import run_result

        context.window.idle_begin_s = time.monotonic()
        time.sleep(self.settings.idle_s)
        context.window.idle_end_s = time.monotonic()
        scraped = [(target.url, target.headers) for target in engines.targets]
        state = carried_state(engines, self.settings, workload, context.run_id)
        with MetricScraper(scraped, self.settings.sample_period_s) as scraper:
            plan = load_plan(self.settings, workload, engines.targets, context.seed)
            plan = replace(plan, extra_body={**state.extra_body, **plan.extra_body})
            outcome = self._loaded(plan, engines, _load_progress(context, scraper))
        context.window.begin_s = outcome.t0_monotonic_s
        context.window.end_s = outcome.t0_monotonic_s + outcome.duration_s
        result = run_result(self.settings, engines, outcome, scraper)
        result.facts["carried_state"] = state.facts()
        result.checks.append(state.check())
        return result

    def _loaded(
        self, plan: LoadPlan, engines: ServingEngines, progress: Callable[[float, str], None]
    ) -> LoadOutcome:
        from framework_vllm.client.load import run_load
        from framework_vllm.client.load_contracts import LoadError
        from framework_vllm.serving_result import DEATH_PATIENCE_S, death_of

        try:
            return run_load(plan, progress, engines.failure)
        except LoadError as error:
            raise death_of(engines, DEATH_PATIENCE_S) or error from error

    @contextmanager
    def engines(self, workload: WorkloadTables, context: RunContext) -> Iterator[ServingEngines]:
        """Servers that are ready for the workload; those that we started end with the block, whatever happens."""
        if self.settings.attached:
            from framework_vllm.server.attach import attached

            yield attached(self.settings, workload)
        else:
            with self._started(workload, context) as engines:
                yield engines

    @contextmanager
    def _started(self, workload: WorkloadTables, context: RunContext) -> Iterator[ServingEngines]:
        from framework_vllm.client.load_contracts import Target
        from framework_vllm.engine.device_check import installed_gpus
        from framework_vllm.models.model_source import model_name
        from framework_vllm.models.served_adapters import load_adapters
        from framework_vllm.server.fleet import FleetPlan
        from framework_vllm.server.kept_fleet import fleet_for
        from framework_vllm.server.placement import places
        from framework_vllm.server.serving_engines import ServingEngines

        context.progress(0.0, "engine: preparing")
        engine, lora = self._engine_and_lora(workload)
        command, runtime_adapters = self._command(engine, lora, workload)
        plan = FleetPlan(
            command=command,
            places=places(self.settings, engine.platform, installed=len(installed_gpus()) or None),
            abreast=max(1, self.settings.replicas // self.settings.replicas_on_gpu),
            first_port=self.settings.port,
            mps=self._wants_mps(engine),
            start_timeout_s=self.settings.start_timeout_s,
            stop_grace_s=self.settings.stop_grace_s,
            scratch=context.scratch,
            prefix=context.command_prefix,
        )
        keeper = context.between_runs if self.settings.keep_engine and lora is None else None
        with fleet_for(plan, keeper, lambda step: context.progress(0.5 * _START_SHARE, step)) as kept:
            servers = kept.fleet.servers
            for server in servers:
                load_adapters(server.url, runtime_adapters)
            yield ServingEngines(
                tuple(Target(server.url, model_name(self.settings)) for server in servers),
                kept.facts(),
                kept.fleet.failure,
                True,
                () if kept.runs else tuple(kept.fleet.start_s),
                engine.platform,
                kept.runs,
            )

    def _engine_and_lora(self, workload: WorkloadTables) -> tuple[Engine, LoraPlan | None]:
        from framework_vllm.engine.command_line import plan_lora
        from framework_vllm.engine.interpreter import find_engine, interpreter_words
        from framework_vllm.models.served_adapters import adapter_ranks

        engine = find_engine(interpreter_words(self.settings.python, self.settings.command))
        return engine, plan_lora(self.settings, engine, adapter_ranks(workload))

    def _command(
        self, engine: Engine, lora: LoraPlan | None, workload: WorkloadTables
    ) -> tuple[Callable[[int, Place], EngineCommand], dict[str, Any]]:
        """Return the command of each replica, and the adapters that are to be loaded once it runs."""
        from framework_vllm.engine.command_line import engine_arguments, serve_command
        from framework_vllm.engine.environment import engine_environment
        from framework_vllm.models.model_source import model_name, resolve_model
        from framework_vllm.models.served_adapters import adapter_folders, adapter_ranks
        from framework_vllm.server.engine_server import HOST, EngineCommand

        model = resolve_model(self.settings)
        folders = adapter_folders(self.settings, model, adapter_ranks(workload))
        runtime = self.settings.lora_loading == "runtime"
        if lora is not None and not runtime:
            lora = replace(lora, modules=folders)
        environment = engine_environment(
            self.settings,
            engine,
            local_model=Path(model).is_dir(),
            runtime_loras=runtime and bool(folders),
        )
        name = model_name(self.settings)

        def command(number: int, place: Place) -> EngineCommand:
            arguments = engine_arguments(
                self.settings, engine, lora, memory_share=place.memory_share, replicas=self.settings.replicas
            )
            return EngineCommand(
                lambda port: serve_command(engine, model, name, HOST, port, arguments),
                {**place.environment, **environment},
            )

        return command, folders if runtime else {}

    def _wants_mps(self, engine: Engine) -> bool:
        return self.settings.mps and self.settings.replicas_on_gpu > 1 and engine.platform == "cuda"


def _load_progress(context: RunContext, scraper: MetricScraper) -> Callable[[float, str], None]:
    """Return the progress of the load: the rest of the run's bar."""

    def show(share: float, text: str) -> None:
        if share > 0.0:
            scraper.load_began()
        context.progress(_START_SHARE + (1.0 - _START_SHARE) * min(1.0, share), text)

    return show
