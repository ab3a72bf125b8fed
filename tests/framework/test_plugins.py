from __future__ import annotations

from collections.abc import Callable

import pytest

from framework.plugins import LoadedPlugin, discover, metric_definitions, plugin_manager
from framework.store.views.macros import plugin_views

Install = Callable[..., None]
GOOD = """
from framework.contracts import MetricDefinition
from framework.hookspecs import hookimpl

@hookimpl
def metric_definitions():
    return [MetricDefinition("speed", "m/s", "How fast.")]

@hookimpl
def importers():
    return []
"""


def _plugin(name: str) -> LoadedPlugin:
    return next(plugin for plugin in discover().plugins if plugin.name == name)


def test_an_installed_plugin_is_found_with_distribution_version_and_hooks(install: Install) -> None:
    install("some-plugin", "good = good_plugin", "2.5", good_plugin=GOOD)
    assert _plugin("good") == LoadedPlugin(
        "good", "good_plugin", "some-plugin", "2.5", ("importers", "metric_definitions")
    )
    names = [item.name for items in plugin_manager().hook.metric_definitions() for item in items]
    assert "speed" in names


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        ("raise RuntimeError('no licence\\nsecond line')", "RuntimeError: no licence"),
        ("import no_such_package", "ModuleNotFoundError: No module named 'no_such_package'"),
        ("def broken(:", "SyntaxError: "),
        (GOOD + "@hookimpl\ndef sql_views(store): return []", "PluginValidationError: "),
    ],
    ids=["raises", "import", "syntax", "hook with an unknown argument"],
)
def test_a_broken_plugin_is_reported_and_the_others_work(install: Install, module: str, reason: str) -> None:
    install("broken-plugin", "broken = broken_plugin", broken_plugin=module)
    install("good-plugin", "good = good_plugin", good_plugin=GOOD)
    broken = _plugin("broken")
    assert broken.hooks == ()
    assert broken.error is not None
    assert broken.error.startswith(reason)
    assert "\n" not in broken.error
    assert _plugin("good").error is None
    definitions = [item.name for items in plugin_manager().hook.metric_definitions() for item in items]
    assert definitions.count("speed") == 1


def test_discovery_can_be_restricted_to_named_plugins(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(
        "two-plugins", "good = good_plugin\nbroken = broken_plugin", good_plugin=GOOD, broken_plugin="1/0"
    )
    monkeypatch.setenv("FRAMEWORK_PLUGINS", " good , other")
    assert [plugin.name for plugin in discover().plugins] == ["good"]


def test_an_empty_restriction_loads_nothing(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install("some-plugin", "good = good_plugin", good_plugin=GOOD)
    monkeypatch.setenv("FRAMEWORK_PLUGINS", "")
    assert discover().plugins == ()
    assert plugin_manager().hook.metric_definitions() == []


def test_discovery_happens_once_a_process(install: Install) -> None:
    install("some-plugin", "good = good_plugin", good_plugin=GOOD)
    assert discover() is discover()


def test_the_first_definition_of_a_metric_stands_for_reports_and_for_sql(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("first", "second"):
        module = GOOD.replace("How fast.", f"of the {name}")
        install(name, f"{name} = {name}_module", **{f"{name}_module": module})
    monkeypatch.setenv("FRAMEWORK_PLUGINS", "first,second")
    found = metric_definitions()
    assert found["speed"].description == "of the first"
    assert plugin_views().definitions == tuple(found.values())
