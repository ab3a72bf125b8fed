"""docs/plugins.md says what the code says: every hook with its exact signature, an example, an implementation."""

from __future__ import annotations

import inspect
import re
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from framework import contracts, hookspecs
from framework.plugins import discover

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "plugins.md").read_text()
HOOKS = {
    name: function
    for name, function in inspect.getmembers(hookspecs, inspect.isfunction)
    if hasattr(function, f"{hookspecs.NAMESPACE}_spec")
}


def _sections() -> dict[str, str]:
    """Return the text below each heading of a hook, by the heading."""
    hooks = PAGE.partition("\n## Hooks\n")[2].partition("\n## ")[0]
    parts = re.split(r"^### `(.+)`$", hooks, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def _heading(name: str) -> str:
    return name + str(inspect.signature(HOOKS[name])).replace("'", "")


def _example_plugin() -> object:
    file = ROOT / "examples" / "thirdparty_queue" / "src" / "framework_queue" / "plugin.py"
    spec = spec_from_file_location("queue_example_plugin", file)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_there_are_hooks() -> None:
    assert len(HOOKS) >= 12


def test_the_headings_are_the_hooks_in_the_order_of_the_code() -> None:
    in_order = sorted(HOOKS, key=lambda name: HOOKS[name].__code__.co_firstlineno)
    assert list(_sections()) == [_heading(name) for name in in_order]


@pytest.mark.parametrize("name", HOOKS)
def test_every_hook_has_an_example_that_compiles(name: str) -> None:
    examples = re.findall(r"```python\n(.+?)```", _sections()[_heading(name)], flags=re.DOTALL)
    assert len(examples) == 1
    assert f"@hookimpl\ndef {name}(" in examples[0]
    compile(examples[0], name, "exec")


@pytest.mark.parametrize("name", HOOKS)
def test_every_hook_has_a_docstring_of_one_sentence(name: str) -> None:
    text = inspect.getdoc(HOOKS[name])
    assert text
    assert text.endswith(".")
    assert "\n\n" not in text


@pytest.mark.parametrize("name", HOOKS)
def test_every_hook_is_implemented_by_the_example(name: str) -> None:
    assert hasattr(getattr(_example_plugin(), name, None), f"{hookspecs.NAMESPACE}_impl")


def test_every_installed_plugin_loads() -> None:
    assert {plugin.name: plugin.error for plugin in discover().plugins if plugin.error} == {}


def test_the_page_names_every_contract_a_plugin_meets() -> None:
    kinds = [
        name
        for name, value in vars(contracts).items()
        if inspect.isclass(value) and value.__module__ == contracts.__name__ and name[0] != "_"
    ]
    unnamed = [name for name in kinds if not re.search(rf"\b{name}\b", PAGE, flags=re.IGNORECASE)]
    assert set(unnamed) <= {"BatchBackend", "StoreReader"}  # described by what they do
