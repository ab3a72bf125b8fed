"""Features that predict an execution's time: knobs, hardware as numbers, names of cluster and benchmark."""

from __future__ import annotations

import numpy as np

from framework.analysis.prediction.features import Column
from framework.analysis.prediction.novelty import Group
from framework.analysis.prediction.predictor import RunPredictor
from framework_hadoop.executions.disks import disk_layout
from framework_hadoop.executions.execution_table import COLUMNS, CONFIGURATION, Executions

_HARDWARE = tuple(column.name for column in COLUMNS if column.group == "cluster" and column.name != "cluster")
CLUSTER = Group("cluster", ("cluster",), ("cluster", "vm_size", "provider"), _HARDWARE)
BENCHMARK = Group("benchmark", ("benchmark",), ("benchmark",))
PREPARATION = "prep_"  # a benchmark's data generator carries this before its name


def execution_features(executions: Executions) -> dict[str, Column]:
    """Return the features of each execution: float columns for numbers, object columns for names.

    In addition to the columns themselves: the disk code taken apart, totals over the cluster, and the ratios on which
    queues form (map slots a core, memory a map slot).
    """
    columns = executions.columns
    features: dict[str, Column] = {name: columns[name] for name in executions.configuration}
    features |= _disk_features(columns["disk"])
    nodes, cores = columns["data_nodes"], columns["cores_per_node"]
    memory, maps = columns["memory_per_node_gb"], columns["map_slots"]
    names = columns["benchmark"].tolist()
    features["preparation"] = np.array([float(str(name).startswith(PREPARATION)) for name in names])
    features["maps_per_core"] = maps / cores
    features["maps_total"] = maps * nodes
    features["cores_total"] = cores * nodes
    features["memory_total_gb"] = memory * nodes
    features["memory_per_map_gb"] = memory / maps
    features["memory_per_core_gb"] = memory / cores
    return features


def _disk_features(codes: np.ndarray) -> dict[str, Column]:
    levels = {code: disk_layout(code) for code in set(codes.tolist())}
    rank = {"ssd": 0.0, "local": 1.0, "remote": 2.0}
    nan = float("nan")
    numbers = {
        code: (nan, nan, nan, nan)
        if layout is None
        else (float(layout.remote), float(layout.ssd), float(layout.spinning), rank[layout.temporary])
        for code, layout in levels.items()
    }
    table = np.array([numbers[code] for code in codes.tolist()]).reshape(-1, 4)
    names = ("disk_remote", "disk_ssd", "disk_spinning", "disk_temporary")
    return {name: table[:, position] for position, name in enumerate(names)}


def execution_predictor(
    level: float = 0.9, seed: int = 0, configuration: tuple[str, ...] = CONFIGURATION
) -> RunPredictor:
    """Return how execution times are learned: clusters and benchmarks may be new, small clusters get more say.

    `configuration`: the columns that make a configuration (`Executions.configuration`).
    """
    return RunPredictor(
        groups=(CLUSTER, BENCHMARK),
        configuration=configuration,
        balance=CLUSTER.name,
        level=level,
        seed=seed,
    )
