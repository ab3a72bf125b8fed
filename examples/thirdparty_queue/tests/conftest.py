from __future__ import annotations

import pytest

from framework.testing.fixtures import CommandLine


@pytest.fixture
def framework(framework_command: CommandLine, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """Run `python -m framework` in an empty folder with this plugin alone: the core must not need another.

    `framework_command` is a fixture of the pytest plugin that comes with the framework.
    """
    monkeypatch.setenv("FRAMEWORK_PLUGINS", "queue")
    return framework_command
