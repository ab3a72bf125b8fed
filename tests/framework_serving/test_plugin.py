from __future__ import annotations

import subprocess
import sys

from framework.hookspecs import NAMESPACE
from framework.plugins import plugin_manager
from framework_serving import plugin

LIGHT = """
import sys, framework_serving.plugin
print([name for name in ('pyarrow', 'numpy', 'duckdb', 'plotly', 'yaml') if name in sys.modules])
"""


def test_importing_the_hooks_imports_nothing_heavy() -> None:
    done = subprocess.run([sys.executable, "-c", LIGHT], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_plugin_is_found_with_all_its_hooks() -> None:
    registered = plugin_manager().get_plugin("serving")
    assert registered is plugin
    hooks = {caller.name for caller in plugin_manager().get_hookcallers(plugin) or []}
    implemented = {name for name in vars(plugin) if hasattr(getattr(plugin, name), f"{NAMESPACE}_impl")}
    assert hooks == implemented
    assert hooks >= {
        "config_schemas",
        "table_schemas",
        "metric_definitions",
        "derived_metrics",
        "sanity_checks",
    }


def test_hooks_answer_with_the_domains_own_things() -> None:
    assert [group for group, _, _ in plugin.config_schemas()] == ["workload"] * 3
    assert set(plugin.table_schemas()) == {"requests"}
    assert {"serving", "vllm-bench", "guidellm", "aiperf"} <= {
        importer.kind for importer in plugin.importers()
    }
    assert "adapter_stats" in plugin.sql_views()[0]
