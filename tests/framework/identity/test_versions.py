from __future__ import annotations

from pathlib import Path

import pytest

from framework.errors import ConfigError
from framework.hookspecs import hookimpl
from framework.identity.fingerprint import source_fingerprint
from framework.identity.versions import code_version, derivation_hash, execution_hash, meaning_hash
from framework.plugins import plugin_manager


def _tree(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        file = folder / name.replace("__", "/").replace("_DOT_", ".")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return folder


def test_the_same_sources_have_the_same_fingerprint_wherever_they_lie(tmp_path: Path) -> None:
    a = _tree(tmp_path / "a", x_DOT_java="1", sub__y_DOT_java="2")
    b = _tree(tmp_path / "b", x_DOT_java="1", sub__y_DOT_java="2", notes_DOT_txt="2")
    assert source_fingerprint(a, (".java",)) == source_fingerprint(b, (".java",))


def test_a_changed_moved_or_added_source_changes_the_fingerprint(tmp_path: Path) -> None:
    trees = [
        _tree(tmp_path / "a", x_DOT_java="1"),
        _tree(tmp_path / "b", x_DOT_java="2"),
        _tree(tmp_path / "c", y_DOT_java="1"),
        _tree(tmp_path / "d", x_DOT_java="1", y_DOT_java=""),
    ]
    assert len({source_fingerprint(tree, (".java",)) for tree in trees}) == 4


class _Engine:
    version = "1"

    def fingerprint(self) -> str:
        if self.version == "none":
            raise ConfigError("no engine here")
        return self.version

    def sweep_fingerprint(self) -> str:
        return "all"


class _Collector:
    pass


def test_another_engine_or_collector_executes_something_else() -> None:
    newer = _Engine()
    newer.version = "2"
    hashes = [execution_hash(_Engine()), execution_hash(newer), execution_hash(_Engine(), [_Collector()])]
    assert len({*hashes, execution_hash(_Collector())}) == 4
    assert execution_hash(_Engine(), [_Collector(), newer]) == execution_hash(
        _Engine(), [newer, _Collector()]
    )


def test_a_sweep_asks_for_what_holds_for_all_its_points() -> None:
    newer, absent = _Engine(), _Engine()
    newer.version, absent.version = "2", "none"
    assert execution_hash(newer, of_sweep=True) == execution_hash(_Engine(), of_sweep=True)
    with pytest.raises(ConfigError):
        execution_hash(absent)


def test_a_reader_sees_package_version_and_hash() -> None:
    from framework_twin.backend import TwinBackend

    assert code_version(TwinBackend.__new__(TwinBackend), "abc") == "framework_twin 0.1.0+abc"


def test_a_changed_configuration_file_changes_the_meaning_of_overrides(toy: Path, tmp_path: Path) -> None:
    before = meaning_hash()
    assert meaning_hash() == before
    folder = _tree(tmp_path / "conf", backend__toy_DOT_yaml="speed: 1")
    plugin_manager().register(_SearchPath(folder), name="more")
    added = meaning_hash()
    _tree(tmp_path / "conf", backend__toy_DOT_yaml="speed: 2")
    assert len({before, added, meaning_hash()}) == 3


def test_a_further_hook_is_another_derivation(toy: Path) -> None:
    before = derivation_hash()
    plugin_manager().register(_Deriving(), name="more")
    assert derivation_hash() != before


class _SearchPath:
    def __init__(self, folder: Path) -> None:
        self.config_search_path = hookimpl(lambda: str(folder))


class _Deriving:
    @hookimpl
    def derived_metrics(self) -> list[object]:
        return []
