"""The hooks of this plugin, and nothing else.

KEEP THIS MODULE LIGHT. Discovery imports it on *every* command, `--help` and `sql` included. Whatever is heavy
(numpy, pyarrow, a client library, torch) is imported inside the function that needs it. The classes named by
`_target_` in the configuration live in modules of their own and are imported only when a run uses them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framework.contracts import (
    Deployed,
    DoctorCheck,
    Importer,
    Law,
    Metric,
    MetricDefinition,
    ReportScope,
    ReportSection,
    Result,
    SanityCheck,
    TableBlock,
    WhatIf,
    WorkloadTables,
)
from framework.hookspecs import hookimpl

if TYPE_CHECKING:
    import pyarrow as pa
    import typer

    from framework.processes.job_queue import JobQueue


@hookimpl
def config_search_path() -> str:
    """Add `conf/` of this package: its folders are Hydra's configuration groups."""
    return str(Path(__file__).with_name("conf"))


@hookimpl
def config_schemas() -> Iterable[tuple[str, str, type]]:
    """Register the dataclasses that type `backend: queue` and `workload: customers`."""
    from framework_queue.settings import CustomersConf, QueueConf

    return [("backend", "queue_schema", QueueConf), ("workload", "customers_schema", CustomersConf)]


@hookimpl
def table_schemas() -> Mapping[str, pa.Schema]:
    """Declare `visits`, one row a customer; `samples` is the framework's own."""
    import pyarrow as pa

    columns = {
        "customer_id": pa.int64(),
        "arrival_s": pa.float64(),
        "start_s": pa.float64(),
        "end_s": pa.float64(),
    }
    return {"visits": pa.schema([pa.field(name, kind, nullable=False) for name, kind in columns.items()])}


@hookimpl
def metric_definitions() -> Iterable[MetricDefinition]:
    """Say what the metrics mean and which direction is better; names end in their unit."""
    return [
        MetricDefinition(
            "wait_mean_s", "s", "Mean time from a customer's arrival to the start of service.", "lower"
        ),
        MetricDefinition("wait_p99_s", "s", "99th percentile of the time to the start of service.", "lower"),
        MetricDefinition(
            "utilisation", "", "Busy time of the servers over their available time (0–1).", "higher"
        ),
        MetricDefinition("wait_theory_s", "s", "Mean wait that Erlang C predicts for the configured rates."),
        MetricDefinition("process_cpu_s", "s", "CPU time of the process during the run.", "lower"),
        MetricDefinition(
            "process_rss_peak_mib", "MiB", "Largest resident memory seen during the run.", "lower"
        ),
    ]


@hookimpl
def derived_metrics(
    config: Mapping[str, Any], workload: WorkloadTables | None, result: Result
) -> Iterable[Metric]:
    """Add what theory predicts, for the runs where it applies."""
    # Every plugin's hook sees every run, so the first line asks whether the run is of our domain.
    if "visits" not in result.tables:
        return []
    from framework_queue.theory import predicted_wait

    return [predicted_wait(config)]


@hookimpl
def sanity_checks(
    config: Mapping[str, Any], workload: WorkloadTables | None, result: Result
) -> Iterable[SanityCheck]:
    """Check that the run did what it claims, whatever the waits look like."""
    visits = result.tables.get("visits")
    if visits is None or workload is None:
        return []
    import pyarrow.compute as pc

    came, served = workload.tables["customers"].num_rows, visits.num_rows
    early = pc.sum(pc.less(visits["start_s"], visits["arrival_s"])).as_py() or 0
    busy = next((metric.value for metric in result.metrics if metric.name == "utilisation"), None) or 0.0
    return [
        SanityCheck("all_customers_served", "pass" if came == served else "fail", f"{served} of {came}"),
        SanityCheck("nobody_served_early", "fail" if early else "pass", f"{early} of {served}"),
        SanityCheck("servers_keep_up", "warn" if busy > 0.97 else "pass", f"busy {busy:.1%} of the time"),
    ]


@hookimpl
def sql_views() -> Sequence[str]:
    """Add a view over our own table."""
    return [
        """CREATE OR REPLACE VIEW queue_waits AS
        SELECT run_id, count(*) AS customers, quantile_cont(start_s - arrival_s, 0.5) AS wait_p50_s,
               max(start_s - arrival_s) AS wait_max_s
        FROM visits GROUP BY run_id"""
    ]


@hookimpl
def importers() -> Iterable[Importer]:
    """Bring in waits that were logged at a real counter: `import queue-log FILE`."""
    from framework_queue.log_file import read_log  # light: its own heavy imports are inside

    return [Importer("queue-log", "CSV: run, servers, arrival_s, start_s, end_s", read_log)]


@hookimpl
def verbs(app: typer.Typer) -> None:
    """Add `python -m framework erlang-c`."""
    from framework_queue.verb import erlang_c

    app.command("erlang-c")(erlang_c)


@hookimpl
def doctor_checks() -> Iterable[DoctorCheck]:
    """Tell whether the collector can see this process's memory; `ok=None` means it does not apply here."""
    seen = Path("/proc/self/statm").exists()
    detail = "resident memory can be sampled" if seen else "no /proc: resident memory will be absent"
    return [DoctorCheck("queue: process memory", seen or None, detail)]


@hookimpl
def sweep_tables(scope: ReportScope) -> Iterable[TableBlock]:
    """Print measured waits next to theory when a sweep ends."""
    from framework_queue.reporting import waits_table

    return waits_table(scope)


@hookimpl
def report_sections(scope: ReportScope) -> Iterable[ReportSection]:
    """Plot waits against servers in the HTML report."""
    from framework_queue.reporting import waits_section

    return waits_section(scope)


@hookimpl
def run_sections(scope: ReportScope) -> Iterable[ReportSection]:
    """Say how long visitors waited on the dashboard's page of a run."""
    from framework_queue.reporting import waits_of_run

    return waits_of_run(scope)


@hookimpl
def what_ifs() -> Iterable[WhatIf]:
    """Answer from theory how long visitors wait, on the dashboard's page "What if"."""
    from framework_queue.theory import wait_question

    return [wait_question()]


@hookimpl
def claim_computations(scope: ReportScope) -> Mapping[str, Callable[..., float]]:
    """Let claims of a paper (`experiments/<name>/claims.yaml`, next to `conf/`) ask for waits of the scope's runs."""
    from framework_queue.reporting import wait_over_theory

    return {"wait_over_theory": partial(wait_over_theory, scope)}


@hookimpl
def job_queues() -> Mapping[str, Callable[[Mapping[str, Any], Path], JobQueue]]:
    """Offer a batch system; `conf/hydra/launcher/overnight.yaml` selects it by this name."""
    from framework_queue.overnight import OvernightQueue

    return {"overnight": OvernightQueue}


@hookimpl
def deployments() -> Mapping[str, Callable[[Deployed], int]]:
    """Let `advise --running` say whether a counter has enough servers for its log."""
    from framework_queue.counter_check import check_counter

    return {"queue_counter": check_counter}


@hookimpl
def laws() -> Iterable[Law]:
    """Let the verb `predict` start from Erlang C where it applies, and learn only what it leaves open."""
    from framework_queue.theory import expected_waits

    return [Law("Erlang C", expected_waits)]


@hookimpl
def engine_commands(config: Mapping[str, Any]) -> Iterable[str]:
    """Say how the queue would be served for real with the settings of a run; the verb `advise` prints it."""
    servers = config.get("backend", {}).get("servers")
    return [f"queue-server --servers {servers}"] if servers else []
