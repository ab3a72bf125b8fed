"""The parts around the results: tiles with counts, sanity findings, failures, advice, provenance."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from html import escape

from framework.contracts import TableBlock
from framework.report.html.html_blocks import table_html
from framework.report.number_format import ABSENT, count_noun, format_interval, format_value
from framework.report.overview import FailedRun, GivenAdvice, Overview, ProvenanceItem, SanityFinding
from framework.report.run_table import short_names

_SHORT_PROVENANCE = (
    ("git.commit", "code"),
    ("git.dirty_hash", "uncommitted changes"),
    ("packages.set_hash", "packages"),
    ("packages.python", "Python"),
    ("host.name", "host"),
    ("host.cpu", "CPU"),
    ("gpu", "GPU"),
    ("slurm.job_id", "SLURM job"),
    ("command_line", "command"),
)
_SHOWN_VALUES = 3


def tiles_html(overview: Overview) -> str:
    """Return the counts of runs by status and by sanity verdict."""
    tiles = [("runs done", overview.by_status.get("done", 0), "good")]
    for status, style in (("failed", "bad"), ("stale", "bad"), ("running", "")):
        if overview.by_status.get(status) or status == "failed":
            count = overview.by_status.get(status, 0)
            tiles.append((f"runs {status}", count, style if count else ""))
    for verdict, style in (("pass", "good"), ("warn", "warned"), ("fail", "bad"), ("unchecked", "")):
        if overview.by_sanity.get(verdict):
            tiles.append((f"sanity {verdict}", overview.by_sanity[verdict], style))
    items = "".join(
        f'<div><dt>{label}</dt><dd class="{style}">{count:,}</dd></div>' for label, count, style in tiles
    )
    return f'<dl class="tiles">{items}</dl>'


def meta_html(overview: Overview, generated_at: str) -> str:
    """Return one line on when, with which backends, and when the report was written."""
    parts = []
    if overview.first_start is not None:
        span = format_value(overview.first_start)
        if overview.last_end is not None:
            span += f" to {format_value(overview.last_end)}"
        parts.append(f"{span} UTC")
    if overview.backends:
        parts.append("backend " + ", ".join(overview.backends))
    if overview.sweeps:
        parts.append(count_noun(overview.sweeps, "sweep"))
    parts.append(f"report written {generated_at} UTC")
    return f'<p class="meta">{escape(" · ".join(parts))}</p>'


def findings_html(findings: Sequence[SanityFinding]) -> str:
    """Return the checks that did not pass; empty when all did."""
    if not findings:
        return ""
    rows = [(f.verdict, f.name, f.runs, f.detail or None, f.example_run) for f in findings]
    caption = "These checks test whether a run did what it claims, independent of its performance."
    return table_html(
        TableBlock("Sanity findings", ("verdict", "check", "runs", "for example", "in run"), rows, caption)
    )


def failures_html(failures: Sequence[FailedRun], total: int) -> str:
    """Return failed and lost runs with stage, reason, and the tail of their log on demand."""
    names = short_names({name for failure in failures for name in failure.parameters})
    body = []
    for failure in failures:
        point = " ".join(f"{names[name]}={value}" for name, value in failure.parameters.items())
        reason = escape(failure.message) or ABSENT
        if failure.log_tail:
            reason += f"<details><summary>log</summary><pre>{escape(failure.log_tail)}</pre></details>"
        body.append(
            f'<tr><th scope="row">{escape(failure.run_id)}</th><td>{escape(failure.status)}</td>'
            f"<td>{escape(point) or ABSENT}</td><td>{escape(failure.stage) or ABSENT}</td>"
            f"<td>{escape(failure.kind) or ABSENT}</td><td>{reason}</td></tr>"
        )
    head = "".join(
        f'<th scope="col">{name}</th>' for name in ("run", "status", "point", "stage", "kind", "reason")
    )
    note = (
        f'<p class="note warn">The latest {len(failures):,} of {total:,} are shown. All of them:'
        ' <code>framework sql "SELECT * FROM failures"</code></p>'
        if len(failures) < total
        else ""
    )
    return (
        f'{note}<div class="scroll"><table><caption>{count_noun(total, "run")} failed or lost</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table></div>"
    )


def advice_html(advice: Sequence[GivenAdvice], experiment: str) -> str:
    """Return each piece of advice with its prediction, reason, and overrides to paste back."""
    return f'<div class="advice">{"".join(_advice_card(item, experiment) for item in advice)}</div>'


def _advice_card(item: GivenAdvice, experiment: str) -> str:
    prediction = ""
    if item.predicted is not None:
        interval = format_interval(item.low, item.high)
        within = f" ({interval})" if interval else ""
        prediction = f"<p><b>{escape(item.metric)} {format_value(item.predicted)}</b>{within}</p>"
    command = ""
    if item.overrides:
        text = escape(f"python -m framework +experiment={experiment} {item.overrides}")
        command = (
            f'<div class="command"><pre><code>{text}</code></pre>'
            '<button type="button" class="copy" aria-label="Copy the command">Copy</button></div>'
        )
    facts = "".join(
        f"<div><dt>{escape(str(name))}</dt><dd>{escape(format_value(value))}</dd></div>"
        for name, value in item.facts.items()
    )
    return (
        f"<article><h3>{escape(item.subject or 'all runs')} · {escape(item.advisor)}</h3>{prediction}"
        f"<p>{escape(item.reason)}</p>{command}"
        + (f'<dl class="facts">{facts}</dl>' if facts else "")
        + f'<p class="note">based on {count_noun(item.runs, "run")}</p></article>'
    )


def provenance_html(items: Sequence[ProvenanceItem]) -> str:
    """Return where the numbers come from, in short, and everything that is known on demand."""
    by_name = {item.name: item for item in items}
    rows = []
    for name, label in _SHORT_PROVENANCE:
        item = by_name.get(name)
        values = item.values if item else ()
        if name == "gpu":
            values = tuple((_gpu_names(value), runs) for value, runs in values)
        if name in ("git.commit", "command_line", "host.name", "gpu", "packages.set_hash") or values:
            rows.append((label, _short_values(values)))
    everything = [(item.name, _short_values(item.values)) for item in items]
    short = table_html(TableBlock("Where these numbers come from", ("what", "value"), rows))
    if not everything:
        return short
    return (
        f"{short}<details><summary>All {count_noun(len(everything), 'recorded fact')}</summary>"
        f"{table_html(TableBlock('Provenance', ('name', 'value'), everything))}</details>"
    )


def _gpu_names(value: str) -> str:
    """Return `2 × NVIDIA H100` for the recorded list of GPUs, and `none visible` for an empty one."""
    try:
        names = Counter(str(gpu["name"]) for gpu in json.loads(value))
    except (ValueError, TypeError, KeyError):
        return value
    return ", ".join(f"{count} × {name}" for name, count in names.items()) or "none visible"


def _short_values(values: Sequence[tuple[str, int]]) -> str | None:
    known = [(value, runs) for value, runs in values if value]
    if not known:
        return None
    if len(known) == 1:
        return known[0][0]
    shown = "; ".join(f"{value} ({count_noun(runs, 'run')})" for value, runs in known[:_SHOWN_VALUES])
    more = len(known) - _SHOWN_VALUES
    return f"{shown}; and {more} more" if more > 0 else shown
