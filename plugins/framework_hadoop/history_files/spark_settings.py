"""What a Spark application was configured with: our knobs, and all of its other properties by Spark's names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

_OF_ONE_RUN = re.compile(
    r"^spark\.(app\.(id|name|startTime|submitTime|attempt\.id|initial.*)|driver\.(host|port|bindAddress|appUIAddress)"
    r"|executor\.id|submit\..*|ui\..*|eventLog\..*|history\..*|repl\..*|yarn\.(tags|app\.id|app\.container\.log\.dir|jars"
    r"|archive|dist\..*|secondary\.jars|stagingDir)|jars.*|files|archives|master|local\.dir|org\..*|logConf|home"
    r"|sql\.warehouse\.dir|hadoop\.(framework\.(output|input|report)|hadoop\.tmp\.dir|fs\.s3a\.(access|secret).*)"
    r"|.*(password|secret|token|credential|key).*|jobGroup.*|job\..*|.*\.(uuid|pyFiles))$",
    re.IGNORECASE,
)
_OWN_FLAGS = re.compile(
    r"(--add-\w+[= ]\S+|--enable-native-access\S*|--sun-misc-unsafe\S*|-XX:\+IgnoreUnrecognizedVMOptions"
    r"|-Djava\.net\.preferIPv6Addresses\S*|-Djdk\.reflect\.\S*|-Dio\.netty\.\S*)\s*"
)
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([bkmgtBKMGT]?)[bB]?$")
_MEBI = {"": 1.0, "b": 2.0**-20, "k": 2.0**-10, "m": 1.0, "g": 1024.0, "t": 1024.0**2}


def spark_backend(properties: Mapping[str, str]) -> dict[str, Any]:
    """Return what goes under `backend` of a run's configuration.

    Our own knobs take the value of the property that they set; the others are `properties`, but for what names this
    one run (ids, ports, folders) and what Spark itself adds to the flags of its JVMs.
    """
    found: dict[str, Any] = {"name": "spark", "master": properties.get("spark.master")}
    heap = _mebibytes(properties.get("spark.executor.memory"))
    if heap is not None:
        found["heap_mb"] = heap
    reduces = properties.get("spark.default.parallelism", "")
    if reduces.isdigit():
        found["reduces"] = int(reduces)
    if properties.get("spark.shuffle.compress", "true").lower() == "false":
        found["codec"] = "none"
    elif "spark.io.compression.codec" in properties:
        found["codec"] = properties["spark.io.compression.codec"].rpartition(".")[2].lower()
    fraction = properties.get("spark.memory.fraction")
    try:
        if fraction is not None:
            found["memory_fraction"] = float(fraction)
    except ValueError:
        pass
    rest = {}
    for name, value in sorted(properties.items()):
        if _OF_ONE_RUN.match(name) or name in _KNOBS:
            continue
        text = (
            _OWN_FLAGS.sub("", value).strip()
            if name.endswith("ExtraJavaOptions") or "xtraJava" in name
            else value
        )
        if text and len(text) <= 500:
            rest[name] = text
    return found | ({"properties": rest} if rest else {})


_KNOBS = (
    "spark.executor.memory",
    "spark.default.parallelism",
    "spark.shuffle.compress",
    "spark.io.compression.codec",
    "spark.memory.fraction",
)


def _mebibytes(text: str | None) -> int | None:
    found = _SIZE.match(text or "")
    if found is None:
        return None
    return int(float(found[1]) * _MEBI[found[2].lower()])


def spark_cluster(properties: Mapping[str, str], hadoop: Mapping[str, str]) -> str | None:
    """Return a name of the cluster: `local`, the host of the master or of the file system; None: unknown."""
    master = properties.get("spark.master", "")
    if master.startswith("local"):
        return "local"
    host = urlsplit(master.removeprefix("k8s://")).hostname
    if host:
        return host
    for source, prefix in ((properties, "spark.hadoop."), (hadoop, "")):
        for name in ("yarn.resourcemanager.cluster-id", "fs.defaultFS"):
            value = source.get(prefix + name, "")
            found = urlsplit(value).hostname if "://" in value else value
            if found and found != "yarn_cluster":
                return found
    return None
