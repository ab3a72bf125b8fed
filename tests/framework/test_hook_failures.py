"""A plugin's hook may raise, return nonsense or be slow: the command goes on, and names the plugin."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from framework import cli, plugins
from framework.errors import ConfigError
from framework.hookspecs import NAMESPACE

Install = Callable[..., None]
HOOKS = {
    "config_search_path": "3",
    "config_schemas": "[(1, 2)]",
    "table_schemas": "['sums']",
    "metric_definitions": "['speed']",
    "sql_views": "'CREATE OR REPLACE VIEW x AS SELECT 1'",
    "importers": "[3]",
    "verbs": None,
    "doctor_checks": "5",
    "sweep_tables": "[1]",
    "report_sections": "['text']",
}
ARGUMENTS = {"verbs": "app", "sweep_tables": "scope", "report_sections": "scope"}


def _module(hook: str, body: str) -> str:
    head = "from framework import contracts\nfrom framework.hookspecs import hookimpl\n\n@hookimpl\n"
    return f"{head}def {hook}({ARGUMENTS.get(hook, '')}):\n    {body}\n"


def _status(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    plugins.discover().problems.clear()
    monkeypatch.setattr("sys.argv", ["framework", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.fixture
def with_plugin(
    toy: object, install: Install, monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> Callable[..., None]:
    """Install a plugin of one hook beside the toy study."""
    monkeypatch.chdir(str(tmp_path))
    monkeypatch.setenv("COLUMNS", "300")

    def make(hook: str, body: str) -> None:
        install("odd-plugin", "odd = odd_plugin", odd_plugin=_module(hook, body))
        monkeypatch.setenv("FRAMEWORK_PLUGINS", "toy,odd")
        plugins.discover.cache_clear()

    return make


def test_every_hook_has_its_case() -> None:
    from framework import hookspecs

    named = {name for name, item in vars(hookspecs).items() if hasattr(item, f"{NAMESPACE}_spec")}
    assert named - set(HOOKS) == {
        "derived_metrics",
        "sanity_checks",
        "claim_computations",
        "deployments",
        "engine_commands",
        "job_queues",
        "laws",
        "run_sections",
        "what_ifs",
    }  # of runs, of jobs, of predictions: their own tests


ITEMS_OF_NONSENSE = {
    "config_search_path": "'/no/such/folder'",
    "config_schemas": "[('backend', 'odd', int)]",
    "table_schemas": "{'runs': __import__('pyarrow').schema([])}",
    "metric_definitions": "[contracts.MetricDefinition('speed', None, '', 'sideways')]",
    "sql_views": "['CREATE OR REPLACE VIEW x AS SELECT 1; DROP TABLE runs']",
    "importers": "[contracts.Importer('odd', 'reads', 3)]",
    "doctor_checks": "[contracts.DoctorCheck('odd', 'maybe', '')]",
    "verbs": "app.command('odd')(3)",
    "sweep_tables": "[contracts.TableBlock('odd', ('a', 'b'), [(1,)])]",
    "report_sections": "[contracts.ReportSection('odd', [contracts.Figure('odd', {'data': 3})])]",
}
"""Of the type that the hook wants, with fields that hold what they can't."""


@pytest.mark.slow
@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("nonsense", ["raises", "exits", "nonsense", "items"])
def test_a_command_goes_on_past_a_hook_that_fails_and_names_the_plugin(
    with_plugin: Callable[..., None],
    hook: str,
    nonsense: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if nonsense == "nonsense" and HOOKS[hook] is None:
        pytest.skip("what this hook returns is not looked at")
    body = {
        "raises": "raise ValueError('boom')",
        "exits": "raise SystemExit(3)",
        "nonsense": f"return {HOOKS[hook]}",
        "items": f"return {ITEMS_OF_NONSENSE.get(hook)}",
    }
    with_plugin(hook, body[nonsense])
    assert _status(monkeypatch, "+experiment=toy_single", "progress=false") == 0
    assert _status(monkeypatch, "sql", "SELECT count(*) AS n FROM runs", "--format", "json") == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out) == [{"n": 1}]
    assert _status(monkeypatch, "doctor") == 0
    assert _status(monkeypatch, "report") == (1 if hook == "report_sections" else 0)
    status = _status(monkeypatch, "plugins")
    said = captured.err + capsys.readouterr().err
    if hook != "sweep_tables":  # asked at the end of a sweep only
        assert f"plugin 'odd' failed in {hook}: " in said or "view of plugin 'odd' left out" in said
    assert "Traceback" not in said
    assert "unexpected" not in said
    assert status in (0, 1)


def test_a_slow_hook_is_named_and_is_no_failure(
    with_plugin: Callable[..., None], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(plugins, "SLOW_S", 0.01)
    with_plugin("importers", "import time; time.sleep(0.05); return []")
    assert _status(monkeypatch, "plugins") == 0
    assert "warning: plugin 'odd' is slow: importers took" in capsys.readouterr().err


def test_a_verb_that_is_there_already_stays_what_it_is(
    with_plugin: Callable[..., None], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with_plugin("verbs", "app.command('doctor')(lambda: print('mine'))")
    assert _status(monkeypatch, "doctor") == 0
    captured = capsys.readouterr()
    assert "This machine" in captured.out
    assert "there is a verb 'doctor' already" in captured.err


def test_two_plugins_of_one_name_are_an_error_that_names_both(
    toy: object, install: Install, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    for owner in ("cafe-plugin", "dup-plugin"):
        install(owner, "cafe = cafe_plugin", cafe_plugin="")
    monkeypatch.setenv("FRAMEWORK_PLUGINS", "toy,cafe")
    plugins.discover.cache_clear()
    with pytest.raises(ConfigError, match="'cafe': cafe-plugin and dup-plugin; uninstall one"):
        plugins.check_names()
    assert _status(monkeypatch, "sql", "SELECT 1") == 2
    assert _status(monkeypatch, "plugins") == 1
    assert _status(monkeypatch, "doctor") == 0
    assert "cafe-plugin 1.0" in (shown := capsys.readouterr().out)
    assert "dup-plugin 1.0" in shown


def test_after_a_failure_the_plugins_that_did_not_load_are_named(
    toy: object, install: Install, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    install("cafe-plugin", "cafe = cafe_plugin", cafe_plugin="raise SystemExit('no licence')")
    monkeypatch.setenv("FRAMEWORK_PLUGINS", "toy,cafe")
    plugins.discover.cache_clear()
    assert _status(monkeypatch, "no-such-verb") == 2
    assert "note: plugin 'cafe' failed to load: SystemExit: no licence" in capsys.readouterr().err


def test_calls_of_hooks_are_traced_when_asked_for(
    toy: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plugins.metric_definitions()
    assert capsys.readouterr().err == ""
    monkeypatch.setenv(plugins.TRACE, "1")
    plugins.metric_definitions()
    assert capsys.readouterr().err.startswith("hook metric_definitions of plugin 'toy': list of 1, ")


@pytest.mark.slow
def test_advice_of_nonsense_costs_itself_only_and_the_rest_is_shown(
    toy: object, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "300")
    probes = [
        f"+advisor.{name}._target_=contract_probe.{kind}"
        for name, kind in (("odd", "NonsenseAdvisor"), ("probe", "ProbeAdvisor"))
    ]
    assert _status(monkeypatch, "+experiment=toy_grid", "backend.speed=1", *probes) == 0
    captured = capsys.readouterr()
    assert "advisor odd: TypeError: Advice.predicted is 'many'" in captured.err
    (row,) = [line for line in captured.out.splitlines() if line.startswith("probe-advisor")]
    assert row.split() == [
        "probe-advisor",
        "PROBE-SUBJECT",
        "numbers_s",
        "4.250",
        "3.500",
        "to",
        "5.500",
        "backend.speed=4",
    ]


def test_a_backend_that_exits_is_a_failed_run(
    toy: object, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    exiting = "backend._target_=contract_probe.ExitingBackend"
    assert _status(monkeypatch, "+experiment=toy_single", exiting, "progress=false") == 1
    assert "failed in backend: 3" in capsys.readouterr().err
    assert _status(monkeypatch, "sql", "SELECT kind FROM failures", "--format", "csv") == 0
    assert capsys.readouterr().out.split() == ["kind", "SystemExit"]
