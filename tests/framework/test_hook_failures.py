"""A plugin's hook may raise, return nonsense or be slow: the command goes on, and names the plugin."""

from __future__ import annotations

import json
from collections.abc import Callable

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
    head = "from framework.hookspecs import hookimpl\n\n@hookimpl\n"
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


@pytest.mark.slow
@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("nonsense", [False, True], ids=["raises", "nonsense"])
def test_a_command_goes_on_past_a_hook_that_fails_and_names_the_plugin(
    with_plugin: Callable[..., None],
    hook: str,
    nonsense: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if nonsense and HOOKS[hook] is None:
        pytest.skip("what this hook returns is not looked at")
    with_plugin(hook, f"return {HOOKS[hook]}" if nonsense else "raise ValueError('boom')")
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
    install("cafe-plugin", "cafe = cafe_plugin", cafe_plugin="raise RuntimeError('no licence')")
    monkeypatch.setenv("FRAMEWORK_PLUGINS", "toy,cafe")
    plugins.discover.cache_clear()
    assert _status(monkeypatch, "no-such-verb") == 2
    assert "note: plugin 'cafe' failed to load: RuntimeError: no licence" in capsys.readouterr().err


def test_calls_of_hooks_are_traced_when_asked_for(
    toy: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plugins.metric_definitions()
    assert capsys.readouterr().err == ""
    monkeypatch.setenv(plugins.TRACE, "1")
    plugins.metric_definitions()
    assert capsys.readouterr().err.startswith("hook metric_definitions of plugin 'toy': list of 1, ")
