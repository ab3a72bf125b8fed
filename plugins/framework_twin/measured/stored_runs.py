"""Measured runs from the store, in the same form as a table of them: what an experiment ran is there to be fitted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from framework.contracts import StoreReader, WorkloadTables
from framework.errors import InputError, UserError
from framework.run.rebuild import chosen_options, rebuilt_workload, stored_config
from framework_serving.hardware.model_shape import KV_BLOCK_TOKENS
from framework_twin.measured.imported_load import open_settings, sent_requests
from framework_twin.measured.measured_runs import BadRow, MeasuredRun, measured_run
from framework_twin.measured.step_samples import StepSample, step_samples
from framework_twin.settings import TwinSettings

_ARRIVALS = {"burst": "burst", "poisson": "poisson"}
_LATEST_GENERATION = "v1"
IMPORTED = "recorded"
"""Backend of a run that other tools made."""

_OF = "? IN (experiment, sweep_id, run_id)"
Values = Mapping[str, str | None]


@dataclass(frozen=True)
class StoredRun:
    """One finished run as the store reports it.

    Attributes:
        family: name of its workload.
        params, facts, metrics: as text by name.
        workload: built again; None where its configuration names no class.
        options: group → the option that it chose, as a command line names it; empty for an imported run.
    """

    run_id: str
    backend: str
    sanity: str
    params: Values
    facts: Values
    metrics: Values
    workload: WorkloadTables | None
    options: Mapping[str, str]

    @property
    def family(self) -> str:
        """Name of the workload: what is left out of a fit together."""
        return self.params.get("workload.name") or ""


@dataclass(frozen=True)
class MeasuredSteps:
    """Timed steps of one lock-step run; the first five attributes say what a fit of them is about."""

    model: str
    gpu: str
    generation: str
    engine: str
    attention_backend: str
    run_id: str
    samples: Sequence[StepSample]


def read_stored(
    store: StoreReader, experiment: str, run_ids: Sequence[str] | None = None
) -> tuple[list[StoredRun], list[BadRow]]:
    """Return the finished runs of an experiment, sweep or run id (of these ids, if given) in order of their start.

    Runs of the twin are left out: it is not to be fitted to itself. A run whose workload can't be built again is
    returned apart with the reason.

    Raises:
        InputError: the experiment has no finished run.
    """
    rows = store.query(
        "SELECT run_id, backend, coalesce(sanity, 'pass') AS sanity, seed, workload_hash FROM runs "
        f"WHERE {_OF} AND status = 'done' ORDER BY started_at, run_id",
        [experiment],
    ).to_pylist()
    if not rows:
        raise InputError(f"'{experiment}' is neither a file nor an experiment, sweep or run that is finished")
    rows = [row for row in rows if run_ids is None or row["run_id"] in set(run_ids)]
    values = {table: _values(store, table, experiment) for table in ("params", "facts", "metrics")}
    options = chosen_options(store, [row["run_id"] for row in rows])
    found: list[StoredRun] = []
    bad: list[BadRow] = []
    for place, row in enumerate(rows):
        key = row["run_id"]
        params, facts, metrics = (values[table].get(key, {}) for table in ("params", "facts", "metrics"))
        if row["backend"] == "twin":
            continue
        try:
            workload = _workload(params, int(row["seed"] or 0), row["workload_hash"])
            if workload is None and row["backend"] == IMPORTED:
                workload = sent_requests(store, key, facts)
            chosen = options.get(key, {})
            found.append(
                StoredRun(key, row["backend"], row["sanity"], params, facts, metrics, workload, chosen)
            )
        except ValueError as error:
            bad.append(BadRow(place, key, str(error)))
    return found, bad


def stored_runs(
    store: StoreReader, experiment: str, run_ids: Sequence[str] | None = None
) -> tuple[list[MeasuredRun], list[BadRow]]:
    """Return an experiment's finished serving runs, and those that a fit can't use with the reason.

    Raises:
        InputError: the experiment has no finished run.
    """
    runs, bad = read_stored(store, experiment, run_ids)
    found: list[MeasuredRun] = []
    for row, run in enumerate(runs):
        if "total_tok_s" not in run.metrics and "itl_mean_ms" not in run.metrics:
            continue
        try:
            found.append(as_measured(run, row))
        except ValueError as error:
            bad.append(BadRow(row, run.run_id, str(error)))
    return found, bad


def as_measured(run: StoredRun, row: int = 0) -> MeasuredRun:
    """Return a stored run in the form of a table's row. Raises `ValueError` for what a fit can't use."""
    measured = {f"measured_{name}": value for name, value in run.metrics.items()}
    flags = "unsound" if run.sanity == "fail" else "clean"
    record = {"run_id": run.run_id, "quality_flags": flags, **_record(run), **measured}
    return replace(measured_run(record, row), workload=run.workload)


def stored_steps(
    store: StoreReader, experiment: str, run_ids: Sequence[str] | None = None
) -> list[MeasuredSteps]:
    """Return the timed steps of an experiment's lock-step runs; none where it has none.

    Raises:
        InputError: the experiment has no finished run.
    """
    runs, _ = read_stored(store, experiment, run_ids)
    tables = store.query(
        "SELECT table_name FROM information_schema.tables WHERE table_name = 'offline_steps'"
    )
    if tables.num_rows == 0:
        return []
    found = []
    for run in runs:
        rows = store.query("SELECT * FROM offline_steps WHERE run_id = ?", [run.run_id]).to_pylist()
        if rows:
            eager = (_engine_value(run, "enforce_eager") or "false").lower() == "true"
            model, gpu = run.params.get("model.name") or "", run.params.get("gpu.name") or ""
            engine = run.facts.get("engine_version") or ""
            samples = step_samples(rows, eager=eager)
            found.append(
                MeasuredSteps(model, gpu, _generation(run), engine, "FLASH_ATTN", run.run_id, samples)
            )
    return found


def _workload(params: Values, seed: int, content_hash: str | None) -> WorkloadTables | None:
    """Return a run's workload, None for one whose configuration names no class (an import).

    Raises:
        ValueError: it can't be built any more, or has another content than it had.
    """
    if params.get("workload._target_") is None:
        return None
    try:
        return rebuilt_workload(stored_config(params), seed, content_hash)
    except (UserError, TypeError) as error:
        raise ValueError(f"workload: can't be rebuilt: {error}") from error


def _values(store: StoreReader, table: str, experiment: str) -> dict[str, dict[str, str | None]]:
    rows = store.query(
        f"SELECT t.run_id, t.name, CAST(t.value AS VARCHAR) AS value FROM {table} t JOIN runs r USING (run_id) "
        f"WHERE {_OF.replace('run_id', 'r.run_id')} AND r.status = 'done'",
        [experiment],
    )
    values: dict[str, dict[str, str | None]] = defaultdict(dict)
    for run_id, name, value in zip(*(rows[column].to_pylist() for column in rows.column_names), strict=True):
        if value is not None or table == "params":
            values[run_id][name] = value
    return values


def _record(run: StoredRun) -> dict[str, str | None]:
    """Return a run's configuration under the column names of a table of measured runs."""
    params, facts = run.params, run.facts
    adapters = int(float(facts.get("workload.n_adapters") or 0))
    record: dict[str, Any] = {
        "source": "store",
        "family": run.family,
        "model": params.get("model.name"),
        "gpu": params.get("gpu.name"),
        "engine_generation": _generation(run),
        "engine": facts.get("engine_version"),
        "enforce_eager": _engine_value(run, "enforce_eager"),
        "arrival": _arrival(run),
        "concurrency": facts.get("workload.concurrency"),
        "duration_limit_s": facts.get("workload.horizon_s"),
        "num_prompts": facts.get("workload.num_requests"),
        "request_rate_rps": facts.get("workload.offered_rps"),
        "input_tokens_mean": facts.get("workload.input_tokens_mean"),
        "input_tokens_std": params.get("workload.lengths.input_std"),
        "output_tokens_mean": facts.get("workload.output_tokens_mean"),
        "output_tokens_std": params.get("workload.lengths.output_std"),
        "length_distribution": "fixed" if params.get("workload.lengths.kind") == "fixed" else "sharegpt",
        "n_adapters": str(adapters),
        "adapters_preloaded": "true",  # by --lora-modules, as our backend starts an engine
        "kv_cache_tokens": _kv_tokens(run),
        "replicas": params.get("backend.replicas"),
        "mps": params.get("backend.mps"),
        "gpu_memory_utilization": params.get("backend.gpu_memory_utilization"),
        **_engine_record(run, adapters),
    }
    if run.backend == IMPORTED:
        version = params.get("backend.engine_version")
        record |= {"engine": version, **open_settings(record, version)}
    if adapters:
        record["adapter_ranks"] = _adapter_ranks(run, adapters)
        record["adapter_rates_rps"] = _dealt(params.get("workload.rates_rps") or "", adapters)
    return record


def _arrival(run: StoredRun) -> str:
    """Return `burst`, `poisson` or `concurrency`; another process of known requests counts as Poisson."""
    kind = run.params.get("workload.arrivals.kind") or ""
    if run.facts.get("workload.concurrency"):
        return "concurrency"
    if not kind and run.backend == IMPORTED and run.workload is None:
        raise ValueError(
            "workload.arrivals.kind: not in the imported file; import it with workload.arrivals.kind=…"
        )
    if kind in _ARRIVALS:
        return _ARRIVALS[kind]
    if run.workload is None:
        raise ValueError(
            f"workload.arrivals.kind: '{kind}' can't be used for a fit, only burst, poisson and concurrency"
        )
    return "poisson" if float(run.facts.get("workload.last_arrival_s") or 0.0) > 0 else "burst"


def _generation(run: StoredRun) -> str:
    return run.facts.get("engine.generation") or _LATEST_GENERATION


def _engine_value(run: StoredRun, name: str) -> str | None:
    """Return an engine setting: what the engine said, else what it was given."""
    return run.facts.get(f"engine.{name}") or run.params.get(f"backend.{name}")


def _engine_record(run: StoredRun, adapters: int) -> dict[str, str | None]:
    """Return the engine's settings; what neither it nor the configuration says is the generation's default."""
    record = {name: _engine_value(run, name) for name in _ENGINE_COLUMNS}
    record["max_model_len"] = record["max_model_len"] or run.params.get("model.max_model_len")
    if record["max_num_batched_tokens"] is None and record["max_num_seqs"] and record["max_model_len"]:
        defaults = TwinSettings(max_num_seqs=int(float(record["max_num_seqs"])))
        longest = int(float(record["max_model_len"]))
        record["max_num_batched_tokens"] = str(defaults.token_budget(_generation(run), longest))
    if record["chunked_prefill"] is None:
        record["chunked_prefill"] = str(_generation(run) == "v1").lower()
    if adapters and record["max_loras"] is None:
        record["max_loras"] = str(adapters)
    return record


_ENGINE_COLUMNS = (
    "max_num_seqs",
    "max_num_batched_tokens",
    "chunked_prefill",
    "max_model_len",
    "max_loras",
    "max_cpu_loras",
    "max_lora_rank",
)


def _kv_tokens(run: StoredRun) -> str | None:
    blocks = run.facts.get("kv_blocks")
    size = run.facts.get("kv_block_tokens") or run.facts.get("engine.block_size") or str(KV_BLOCK_TOKENS)
    return str(int(float(blocks) * float(size))) if blocks else None


def _adapter_ranks(run: StoredRun, adapters: int) -> str:
    if run.workload is not None:
        return ";".join(str(rank) for rank in run.workload.tables["adapters"]["rank"].to_pylist())
    return _dealt(run.params.get("workload.ranks") or "", adapters)


def _dealt(text: str, adapters: int) -> str:
    """Deal the values of a list (`[8, 16]`) round-robin to the adapters, as `8x2;16x1`."""
    values: Sequence[str] = [part.strip() for part in text.strip("[]").split(",") if part.strip()]
    if not values:
        return ""
    counts = [len(range(place, adapters, len(values))) for place in range(len(values))]
    return ";".join(f"{value}x{count}" for value, count in zip(values, counts, strict=True) if count)
