"""The plugin inside the framework. Its fixtures are the framework's (docs/plugins.md#tests)."""

from __future__ import annotations

from pathlib import Path

from framework.testing.fixtures import CommandLine, TemporaryStore


def test_the_study_runs_is_advised_on_and_a_second_call_skips_it(framework_store: TemporaryStore) -> None:
    study = framework_store.run("+experiment=newplugin", "workload.items=100")
    assert len(study) == 4
    rows = framework_store.query("SELECT workers, newplugin_busy, sanity FROM results ORDER BY workers")
    assert [row["workers"] for row in rows] == [1, 2, 4, 8]
    assert all(row["sanity"] == "pass" and 0 < row["newplugin_busy"] < 1.001 for row in rows)
    assert [row["overrides"] for row in framework_store.query("SELECT overrides FROM advice")] == [
        "backend.workers=4"
    ]
    assert len(framework_store.run("+experiment=newplugin", "workload.items=100").skipped) == 4


def test_the_command_line_lists_the_plugin_and_refuses_a_misspelt_key(framework_command: CommandLine) -> None:
    listed = framework_command("plugins")
    assert listed.returncode == 0, listed.stderr
    assert "framework-newplugin" in listed.stdout
    refused = framework_command("+experiment=newplugin", "backend.worker=3")
    assert refused.returncode == 2
    assert "did you mean 'backend.workers'?" in refused.stderr


def test_the_report_has_the_plugins_section(
    framework_store: TemporaryStore, framework_command: CommandLine
) -> None:
    framework_store.run("+experiment=newplugin", "workload.items=100")
    written = framework_command("report", "--outputs", str(framework_store.folder))
    assert written.returncode == 0, written.stderr
    (page,) = Path(framework_store.folder).glob("reports/**/*.html")
    assert "newplugin: items against workers" in page.read_text()


def test_another_backend_is_not_disturbed(framework_store: TemporaryStore, toy_study: str) -> None:
    framework_store.run(f"+experiment={toy_study}")
    assert framework_store.query("SELECT status FROM runs") == [{"status": "done"}]
