"""What `advise --running` says of a counter: whether its servers can keep up with the visits in its log."""

from __future__ import annotations

from pathlib import Path

from framework.contracts import Deployed
from framework.errors import UserError
from framework_queue.log_file import read_log

_BUSY = 0.9


def check_counter(deployed: Deployed) -> int:
    """Print how busy the servers are and how many it takes; 1 where there are too few.

    Raises:
        UserError: no log of visits.
    """
    if deployed.log is None:
        raise UserError("--metrics: a counter has none; give --log FILE")
    needed = max(_servers_needed(deployed.log), 1)
    servers = _servers(deployed.file)
    if needed <= servers:
        print(f"{servers} servers keep up, {needed} would")
        return 0
    print(f"{servers} servers can't keep up: set servers={needed}")
    return 1


def _servers_needed(log: Path) -> int:
    needed = 0
    for run in read_log(log):
        visits = run.result.tables["visits"].to_pylist()
        served_s = sum(visit["end_s"] - visit["start_s"] for visit in visits)
        lasted_s = max(visit["arrival_s"] for visit in visits)
        needed = max(needed, int(served_s / max(lasted_s, 1e-9) / _BUSY) + 1)
    return needed


def _servers(file: Path) -> int:
    import yaml

    servers = yaml.safe_load(file.read_text()).get("servers")
    if not isinstance(servers, int) or servers < 1:
        raise UserError(f"{file}: servers must be a number of at least 1, got {servers}")
    return servers
