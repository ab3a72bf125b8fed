"""The types that plugins meet: workload, backend, collector, advisor, result.

Everything that crosses from a plugin into the core, or back, is one of these dataclasses or an Arrow
table. A class of a plugin is named in a configuration group by Hydra's `_target_`, is built from that
group's keys, and satisfies one of the protocols below; nothing needs to be subclassed.

Units: seconds (`_s`), milliseconds (`_ms`), watts (`_w`), joules (`_j`), bytes unless named otherwise.
Times in tables count from the first arrival of the run.
"""

from framework.contracts.advising import (
    Advice,
    Advisor,
    AdvisorScope,
    Deployed,
    StoreReader,
)
from framework.contracts.answering import (
    Law,
    Selection,
    Slider,
    WhatIf,
)
from framework.contracts.displays import (
    DoctorCheck,
    Figure,
    ReportScope,
    ReportSection,
    TableBlock,
)
from framework.contracts.outcomes import (
    Better,
    Json,
    Metric,
    MetricDefinition,
    Result,
    SanityCheck,
    Verdict,
    WorkloadTables,
)
from framework.contracts.recorded_runs import (
    ImportedRun,
    ImportedTable,
    Importer,
)
from framework.contracts.run_roles import (
    Backend,
    BatchBackend,
    BatchJob,
    Collector,
    Fingerprinted,
    ProcessWrapper,
    Progress,
    RunContext,
    RunWindow,
    SweepFingerprinted,
    Workload,
)

__all__ = [
    "Advice",
    "Advisor",
    "AdvisorScope",
    "Backend",
    "BatchBackend",
    "BatchJob",
    "Better",
    "Collector",
    "Deployed",
    "DoctorCheck",
    "Figure",
    "Fingerprinted",
    "ImportedRun",
    "ImportedTable",
    "Importer",
    "Json",
    "Law",
    "Metric",
    "MetricDefinition",
    "ProcessWrapper",
    "Progress",
    "ReportScope",
    "ReportSection",
    "Result",
    "RunContext",
    "RunWindow",
    "SanityCheck",
    "Selection",
    "Slider",
    "StoreReader",
    "SweepFingerprinted",
    "TableBlock",
    "Verdict",
    "WhatIf",
    "Workload",
    "WorkloadTables",
]
