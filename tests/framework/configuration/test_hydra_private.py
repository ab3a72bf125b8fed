from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import omegaconf
import pytest
from hydra.core.utils import JobReturn

from framework.configuration.hydra_private import flags_apart

ROOT = Path(__file__).parents[3]
HOME = ROOT / "framework" / "configuration" / "hydra_private.py"
CLASSES = (omegaconf.DictConfig, omegaconf.ListConfig, omegaconf.AnyNode, omegaconf.OmegaConf, JobReturn)
PRIVATE_NAMES = {
    name for owner in CLASSES for name in dir(owner) if name.startswith("_") and not name.startswith("__")
}


def _private_uses(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom | ast.Import):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
            for name in names:
                top, *parts = name.split(".")
                if top in ("hydra", "omegaconf") and any(part.startswith("_") for part in parts):
                    yield f"{file.relative_to(ROOT)}:{node.lineno}: import of {name}"
        elif isinstance(node, ast.Attribute) and node.attr in PRIVATE_NAMES:
            if not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")):
                yield f"{file.relative_to(ROOT)}:{node.lineno}: .{node.attr}"
        elif isinstance(node, ast.keyword) and node.arg == "_return_value":
            yield f"{file.relative_to(ROOT)}:{node.value.lineno}: {node.arg}="


@pytest.mark.slow
def test_private_interfaces_of_hydra_are_used_in_one_module_alone() -> None:
    files = [file for top in ("framework", "plugins", "examples") for file in (ROOT / top).rglob("*.py")]
    assert [use for file in files if file != HOME for use in _private_uses(file)] == []
    assert len(list(_private_uses(HOME))) == 4


def test_the_flags_that_hydra_knows_are_found() -> None:
    flags, overrides, unknown, known = flags_apart(
        ["a=1", "--cfg", "job", "--mutlirun", "b=2", "-m", "--info"]
    )
    assert (flags, overrides) == (["--cfg", "job", "-m", "--info"], ["a=1", "b=2"])
    assert unknown == ["--mutlirun"]
    assert {"--multirun", "-m", "--cfg"} <= set(known)
