"""What sbatch is given: options as comments, and the call of the batch's own script."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping
from typing import Any

from framework.processes.job_queue import Batch

# keys that sbatch knows under another name; the others differ in dashes alone
_NAMES = {"tasks_per_node": "ntasks-per-node"}
_SHORTEST_NOTICE = 4  # a notice before the limit is at most this part of it: Slurm may be half a minute early


def sbatch_script(batch: Batch, options: Mapping[str, Any]) -> str:
    """Return the script of an array.

    Args:
        batch: what to submit.
        options: sbatch's options by their names in `hydra.launcher`; None leaves one out. `signal_delay_s` is how
            long before the limit the script's process gets SIGUSR2.
    """
    given = dict(options)
    notice_s = min(given.pop("signal_delay_s", None) or 0, batch.limit_s / _SHORTEST_NOTICE)
    memory_gb = given.pop("mem_gb", None)
    further = given.pop("additional_parameters", None) or {}
    logs = str(batch.logs).replace("%", "%%")  # sbatch fills in what follows a percent sign
    flags: dict[str, Any] = {
        "job-name": batch.name,
        "array": f"0-{batch.count - 1}%{min(batch.count, batch.at_once)}",
        "time": max(1, math.ceil(batch.limit_s / 60)),
        "output": f"{logs}/%a.out",
        "error": f"{logs}/%a.err",
        "open-mode": "append",
        "signal": f"B:USR2@{int(notice_s)}" if notice_s >= 1 else None,
        "mem": None if memory_gb is None else f"{math.ceil(1024 * memory_gb)}M",
        **{_NAMES.get(key, key.replace("_", "-")): value for key, value in given.items()},
        **{key.replace("_", "-"): value for key, value in further.items()},
    }
    lines = [_flag(name, value) for name, value in flags.items() if value is not None and value is not False]
    # the script takes the place of the batch shell: Slurm's signal is for that process
    call = f"exec bash {shlex.quote(str(batch.script))} $SLURM_ARRAY_TASK_ID"
    return "\n".join(["#!/bin/bash", *lines, f"{call} ${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID", ""])


def _flag(name: str, value: Any) -> str:
    return f"#SBATCH --{name}" if value is True else f"#SBATCH --{name}={shlex.quote(str(value))}"
