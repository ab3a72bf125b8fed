"""What a job was configured with: `job_*_conf.xml` beside a history, as our knobs and properties by Hadoop's names.

Hadoop writes every property of a job with where it came from. What came from its own `*-default.xml` is no setting;
what names this one job (its id, its folders, its user) is no setting either.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from xml.etree import ElementTree

from framework.errors import InputError
from framework.input_files.opening import READ_ERRORS, opened_bytes
from framework_hadoop import knobs

_OLD_NAMES = {
    "io.sort.mb": "mapreduce.task.io.sort.mb",
    "io.sort.factor": "mapreduce.task.io.sort.factor",
    "io.sort.spill.percent": "mapreduce.map.sort.spill.percent",
    "mapred.reduce.tasks": "mapreduce.job.reduces",
    "mapred.map.tasks": "mapreduce.job.maps",
    "mapred.compress.map.output": "mapreduce.map.output.compress",
    "mapred.map.output.compression.codec": "mapreduce.map.output.compress.codec",
    "mapred.reduce.parallel.copies": "mapreduce.reduce.shuffle.parallelcopies",
    "mapred.reduce.slowstart.completed.maps": "mapreduce.job.reduce.slowstart.completedmaps",
    "mapred.map.tasks.speculative.execution": "mapreduce.map.speculative",
    "mapred.reduce.tasks.speculative.execution": "mapreduce.reduce.speculative",
    "mapred.job.shuffle.input.buffer.percent": "mapreduce.reduce.shuffle.input.buffer.percent",
    "mapred.job.shuffle.merge.percent": "mapreduce.reduce.shuffle.merge.percent",
    "dfs.block.size": "dfs.blocksize",
}
"""Names of Hadoop 1 and those of Hadoop 2 and 3 (`DeprecatedProperties` of Hadoop's documentation)."""

_OF_ONE_JOB = re.compile(
    r"(?i)(\.dir$|\.dirs$|path|\.jar$|jobid|job\.id|user|host|address|url|token|submit|working|cache|classpath"
    r"|timestamp|\.name$|\.file|staging|principal|keytab|secret|password|workflow|tags?$|\.class$|uuid|inputdir|outputdir"
    r"|^fs\.default|output\.fileoutputformat|input\.fileinputformat\.(inputdir|numinputfiles)|splitmetainfo|^framework\.)"
)
_NO_SOURCE = ("-default.xml",)


def configuration_beside(history: Path, job_id: str) -> Path | None:
    """Return the configuration file of a job next to its history; None if there is none."""
    found = [
        file
        for file in sorted(history.parent.glob(f"{job_id}*conf.xml*"))
        if re.fullmatch(re.escape(job_id) + r"(_\w+)?_conf\.xml(\.\w+)?", file.name) and file.is_file()
    ]
    return found[0] if found else None


def read_properties(file: Path) -> dict[str, tuple[str, str]]:
    """Return a configuration's properties: name → (value, where it came from).

    Raises:
        InputError: not a configuration of Hadoop, or a name that stands in it twice with two values.
    """
    try:
        with opened_bytes(file) as stream:
            root = ElementTree.fromstring(stream.read())
    except (ElementTree.ParseError, *READ_ERRORS) as error:
        raise InputError(f"{file}: not a configuration of Hadoop: {error}") from error
    if root.tag != "configuration":
        raise InputError(f"{file}: not a configuration of Hadoop: its root is <{root.tag}>")
    found: dict[str, tuple[str, str]] = {}
    for item in root.iter("property"):
        name, value = (item.findtext("name") or "").strip(), item.findtext("value") or ""
        sources = [source.text or "" for source in item.findall("source")]
        if name in found and found[name][0] != value:
            raise InputError(f"{file}: property '{name}' is in it twice with different values")
        if name:
            found[name] = (value, sources[0] if sources else "")
    return found


def backend_settings(properties: Mapping[str, tuple[str, str]]) -> dict[str, Any]:
    """Return our knobs, and under `properties` what else was set, both without what Hadoop's defaults set.

    Where a configuration does not say where its values come from (Hadoop 1), only the knobs are settings.
    """
    known = {_OLD_NAMES.get(name, name): told for name, told in properties.items()}
    sourced = any(source for _, source in known.values())
    settings: dict[str, Any] = {}
    taken: set[str] = set()
    for name, knob in knobs.catalogue().items():
        taken.update(knob.cluster)
        value = _knob_value(name, knob, known)
        if value is not None:
            settings[name] = value
    rest = {
        name: value
        for name, (value, source) in sorted(known.items())
        if sourced
        and name not in taken
        and not source.endswith(_NO_SOURCE)
        and not _OF_ONE_JOB.search(name)
        and len(value) <= 200
    }
    return settings | ({"properties": rest} if rest else {})


def _knob_value(name: str, knob: knobs.Knob, known: Mapping[str, tuple[str, str]]) -> Any:
    if name == "codec":
        return _codec(known)
    if name in ("heap_mb", "gc"):
        flags = known.get("mapreduce.map.java.opts", known.get("mapred.child.java.opts", ("", "")))[0]
        return _from_flags(name, flags)
    texts = [known[item][0] for item in knob.cluster if item in known]
    if not texts:
        return None
    text = texts[0].strip()
    if knob.kind == "switch":
        return {"true": True, "false": False}.get(text.lower())
    if knob.kind == "word":
        return text
    if knob.kind == "size":
        return int(text) if text.isdigit() else text or None
    try:
        return int(text) if knob.kind == "whole" else float(text)
    except ValueError:
        return None


def _codec(known: Mapping[str, tuple[str, str]]) -> str | None:
    compress = known.get("mapreduce.map.output.compress")
    if compress is None:
        return None
    if compress[0].strip().lower() != "true":
        return "none"
    named = known.get("mapreduce.map.output.compress.codec", (str(knobs.CODECS["zlib"]), ""))[0].strip()
    return next((word for word, codec in knobs.CODECS.items() if codec == named), named)


def _from_flags(name: str, flags: str) -> Any:
    if name == "gc":
        return next((word for word, flag in knobs.COLLECTORS.items() if flag in flags.split()), None)
    found = re.findall(r"-Xmx(\d+)([kKmMgG]?)", flags)
    if not found:
        return None
    number, unit = found[-1]  # the last one counts, as in Java
    return int(number) * {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}[unit.lower()] // 1024**2


def cluster_name(properties: Mapping[str, tuple[str, str]]) -> str | None:
    """Return what the cluster is known by: its resource manager's cluster id, else the host of its file system."""
    named = properties.get("yarn.resourcemanager.cluster-id", ("", ""))[0].strip()
    if named and named != "yarn_cluster":
        return named
    system = next(
        (properties[key][0] for key in ("fs.defaultFS", "fs.default.name") if key in properties), ""
    )
    return urlsplit(system).hostname
