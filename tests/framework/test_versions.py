from __future__ import annotations

from pathlib import Path

from framework.plugins import plugin_manager
from framework.versions import code_version, installation_fingerprint, source_fingerprint


def _tree(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        file = folder / name.replace("__", "/").replace("_DOT_", ".")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return folder


def test_the_same_sources_have_the_same_fingerprint_wherever_they_lie(tmp_path: Path) -> None:
    a = _tree(tmp_path / "a", x_DOT_py="1", sub__y_DOT_yaml="2")
    b = _tree(tmp_path / "b", x_DOT_py="1", sub__y_DOT_yaml="2")
    assert source_fingerprint(a) == source_fingerprint(b)


def test_a_changed_moved_or_added_source_changes_the_fingerprint(tmp_path: Path) -> None:
    trees = [
        _tree(tmp_path / "a", x_DOT_py="1"),
        _tree(tmp_path / "b", x_DOT_py="2"),
        _tree(tmp_path / "c", y_DOT_py="1"),
        _tree(tmp_path / "d", x_DOT_py="1", y_DOT_py=""),
    ]
    assert len({source_fingerprint(tree) for tree in trees}) == 4


def test_files_that_are_no_source_do_not_count(tmp_path: Path) -> None:
    a = _tree(tmp_path / "a", x_DOT_py="1")
    b = _tree(tmp_path / "b", x_DOT_py="1", notes_DOT_txt="2", __pycache____x_DOT_pyc="3")
    assert source_fingerprint(a) == source_fingerprint(b)


class _Engine:
    pass


class _Model:
    def fingerprint(self) -> str:
        return "abc"


def test_a_backend_that_computes_its_results_adds_a_fingerprint_of_its_code() -> None:
    assert code_version(_Model()) == code_version(_Engine()) + "+abc"


def test_a_changed_configuration_file_of_a_plugin_changes_the_installation(toy: Path, tmp_path: Path) -> None:
    before = installation_fingerprint()
    installation_fingerprint.cache_clear()
    assert installation_fingerprint() == before
    folder = _tree(tmp_path / "conf", backend__toy_DOT_yaml="speed: 1")
    plugin_manager().register(_SearchPath(folder), name="more")
    installation_fingerprint.cache_clear()
    assert installation_fingerprint() != before


class _SearchPath:
    def __init__(self, folder: Path) -> None:
        from framework.hookspecs import hookimpl

        self.config_search_path = hookimpl(lambda: str(folder))
