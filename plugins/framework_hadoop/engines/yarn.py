"""YARN's ResourceManager over REST: what an application used, and ending it.

Interface: Apache Hadoop, "ResourceManager REST API's" (`/ws/v1/cluster/apps`).
"""

from __future__ import annotations

import json
from typing import Any
from urllib.error import URLError
from urllib.parse import quote
from urllib.request import Request, urlopen

from framework.contracts import Metric

_TIMEOUT_S = 10.0
_UNITS = {
    "elapsedTime": ("yarn_elapsed_s", "s", 1e-3),
    "memorySeconds": ("yarn_memory_mb_s", "MB·s", 1.0),
    "vcoreSeconds": ("yarn_vcore_s", "s", 1.0),
    "preemptedMemorySeconds": ("yarn_preempted_memory_mb_s", "MB·s", 1.0),
    "preemptedVcoreSeconds": ("yarn_preempted_vcore_s", "s", 1.0),
}


def tagged_applications(url: str, tag: str) -> list[dict[str, Any]]:
    """Return the applications that carry a tag, as the ResourceManager describes them.

    Raises:
        OSError: it can't be reached.
        ValueError: what answers is not a ResourceManager.
    """
    address = f"{url.rstrip('/')}/ws/v1/cluster/apps?applicationTags={quote(tag.lower())}"
    with urlopen(address, timeout=_TIMEOUT_S) as answer:
        found = json.load(answer)
    apps = (found.get("apps") or {}).get("app") or []
    return [dict(app) for app in apps]


def application_metrics(url: str, tag: str) -> list[Metric]:
    """Return what a run's applications used in total; absent with the reason if YARN can't be asked."""
    try:
        apps = tagged_applications(url, tag)
    except (OSError, ValueError) as error:
        reason = f"ResourceManager at {url}: {error}"
        return [Metric.absent(name, reason, unit, "yarn") for name, unit, _ in _UNITS.values()]
    if not apps:
        reason = f"ResourceManager at {url} has no application with tag {tag}"
        return [Metric.absent(name, reason, unit, "yarn") for name, unit, _ in _UNITS.values()]
    return [
        Metric(name, sum(float(app[field]) for app in apps) * factor, unit, "yarn")
        for field, (name, unit, factor) in _UNITS.items()
        if all(field in app for app in apps)
    ]


def kill_tagged(url: str, tag: str) -> list[str]:
    """End all unfinished applications with a tag (`PUT …/state KILLED`); return the ids of those asked to end.

    A ResourceManager that can't be reached leaves nothing to be done: the list is empty then.
    """
    ended = []
    try:
        for app in tagged_applications(url, tag):
            if app.get("state") not in ("FINISHED", "FAILED", "KILLED"):
                body = json.dumps({"state": "KILLED"}).encode()
                address = f"{url.rstrip('/')}/ws/v1/cluster/apps/{app['id']}/state"
                headers = {"Content-Type": "application/json"}
                urlopen(Request(address, body, headers, method="PUT"), timeout=_TIMEOUT_S).close()
                ended.append(str(app["id"]))
    except (URLError, OSError, ValueError):
        return ended
    return ended
