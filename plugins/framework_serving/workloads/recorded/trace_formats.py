"""Published traces by what their first line names: columns, unit of time, tokens of a prefix block."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from framework.errors import InputError
from framework_serving.workloads.settings import TraceColumns, TraceSettings


@dataclass(frozen=True)
class TraceFormat:
    """How a publisher writes a trace.

    Attributes:
        name: preset of `workload.preset`.
        columns: names of the columns or JSON keys.
        time_unit: of the arrival, where it is a number.
        block_tokens: tokens in a block of `hash_ids`.
        marks: further names that tell the format from one with the same columns.
        failed_outputs: a request of 0 output tokens failed, and is left out and counted.
        text: what the columns name are texts, whose tokens are to be counted.
        publisher: whose format it is, in words.
    """

    name: str
    columns: TraceColumns
    time_unit: str = "s"
    block_tokens: int = 512
    marks: frozenset[str] = field(default_factory=frozenset)
    failed_outputs: bool = False
    text: bool = False
    publisher: str = ""

    @property
    def needed(self) -> frozenset[str]:
        """Names that a file of this format has."""
        own = (value for value in vars(self.columns).values() if value is not None)
        return frozenset(own) | self.marks


FORMATS = (
    TraceFormat(
        "azure", TraceColumns("TIMESTAMP", "ContextTokens", "GeneratedTokens"), publisher="the Azure traces"
    ),
    TraceFormat(
        "vidur", TraceColumns("arrived_at", "num_prefill_tokens", "num_decode_tokens"), publisher="Vidur"
    ),
    TraceFormat(
        "burstgpt",
        TraceColumns("Timestamp", "Request tokens", "Response tokens"),
        failed_outputs=True,
        publisher="BurstGPT",
    ),
    TraceFormat(
        "qwen",
        TraceColumns(
            *("timestamp", "input_length", "output_length"),
            hash_ids="hash_ids",
            id="chat_id",
            parent="parent_chat_id",
        ),
        block_tokens=16,
        publisher="Qwen-Bailian",
    ),
    TraceFormat(
        "mooncake",
        TraceColumns("timestamp", "input_length", "output_length", hash_ids="hash_ids"),
        time_unit="ms",
        publisher="Mooncake",
    ),
    TraceFormat(
        "servingsim",
        TraceColumns("arrival_time_ns", "input_toks", "output_toks"),
        time_unit="ns",
        publisher="LLMServingSim",
    ),
    TraceFormat(
        "servingsim", TraceColumns("arrival_time", "input_toks", "output_toks"), publisher="LLMServingSim"
    ),
    TraceFormat(
        "custom",
        TraceColumns(None, "prompt", "output_tokens"),
        text=True,
        publisher="vLLM's custom data sets",
    ),
    TraceFormat(
        "sharegpt", TraceColumns(None, "conversations", "conversations"), text=True, publisher="ShareGPT"
    ),
)
"""In order of detection: a format with more names comes before one that has only some of them."""

OWN = TraceFormat("columns", TraceColumns())
"""The columns that `workload=trace` takes without being told others."""

_ACCEPTED = {"azure": ("azure", "vidur")}
"""The preset of the Azure traces reads Vidur's copies of them, too."""

PRESETS = ("auto", "columns", *dict.fromkeys(item.name for item in FORMATS))


def detected(names: Iterable[str]) -> TraceFormat | None:
    """Return the published format whose names are all there; None if there is none."""
    found = frozenset(names)
    return next((item for item in FORMATS if item.needed <= found), None)


def format_of(file: object, settings: TraceSettings, names: Iterable[str]) -> TraceFormat:
    """Return how to read a file with these columns: as the settings say, or as its first line shows.

    Columns that the settings name are taken if all are there. Otherwise the format is found out from the names.

    Raises:
        InputError: the file is of another format than the preset.
    """
    names = frozenset(names)
    own = TraceFormat("columns", settings.columns)
    given = settings.columns != TraceColumns()
    found = None if given or settings.preset == "columns" else detected(names)
    if (found is None and settings.preset in ("auto", "columns")) or (
        found is not None and settings.preset == "auto" and own.needed <= names
    ):
        found = own
    allowed = _ACCEPTED.get(settings.preset, (settings.preset,))
    if found is None or (settings.preset not in ("auto", "columns") and found.name not in allowed):
        looks = (
            f"looks like a trace of {found.name} (workload=trace_{found.name})"
            if found
            else "has other columns"
        )
        listed = ", ".join(sorted(names)[:8])
        raise InputError(f"{file}: {looks}, not one of workload.preset={settings.preset} (columns: {listed})")
    unit, tokens = settings.time_unit, settings.hash_block_tokens
    return replace(
        found,
        time_unit=unit or found.time_unit,
        block_tokens=tokens if tokens is not None else found.block_tokens,
    )
