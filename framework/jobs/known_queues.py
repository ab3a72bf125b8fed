"""Which queues there are: Slurm, this machine's background, and those that plugins bring (`job_queues`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from framework.errors import ConfigError, did_you_mean, one_line
from framework.jobs import background_queue, slurm_queue
from framework.plugins import FAULTS, ask, discover, problem_of
from framework.processes.job_queue import JobQueue

MakeQueue = Callable[[Mapping[str, Any], Path], JobQueue]
"""Called with the queue's own keys of `hydra.launcher`, and the folder of the sweep's batches."""

_OWN: Mapping[str, MakeQueue] = {
    "slurm": slurm_queue.from_settings,
    "background": background_queue.from_settings,
}


def known_queues() -> dict[str, tuple[str, MakeQueue]]:
    """Return (plugin, factory) of each queue by name; the framework's own can't be replaced."""
    found: dict[str, tuple[str, MakeQueue]] = {}
    for plugin, makers in ask("job_queues"):
        if isinstance(makers, Mapping):
            found |= {str(name): (plugin, make) for name, make in makers.items()}
        else:
            wrong = TypeError(f"returned {type(makers).__name__} instead of a mapping of names to factories")
            discover().note(problem_of(plugin, "job_queues", wrong))
    return found | {name: ("", make) for name, make in _OWN.items()}


def queue_named(settings: Mapping[str, Any], room: Path) -> JobQueue:
    """Return the queue that settings describe.

    Args:
        settings: `queue`, its name, and what else that queue takes.
        room: folder of the sweep's batches.

    Raises:
        ConfigError: there is no such queue, or it refuses a setting.
    """
    name = str(settings.get("queue"))
    known = known_queues()
    if name not in known:
        raise ConfigError(
            f"configuration key 'hydra.launcher.queue': unknown queue '{name}'{did_you_mean(name, known)}"
        )
    plugin, make = known[name]
    try:
        made = make({key: value for key, value in settings.items() if key != "queue"}, room)
    except ConfigError:
        raise
    except FAULTS as error:
        where = f"plugin '{plugin}': " if plugin else ""
        raise ConfigError(f"{where}queue '{name}': {type(error).__name__}: {one_line(error)}") from error
    if not isinstance(made, JobQueue):
        raise ConfigError(f"plugin '{plugin}': queue '{name}' is a {type(made).__name__}, not a JobQueue")
    return made
