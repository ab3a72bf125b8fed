"""What changes the digest of a source file, and what does not: held on the project's own sources."""

from __future__ import annotations

import ast
from pathlib import Path

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from framework.identity.source_units import source_units

ROOT = Path(__file__).parents[3]
SOURCES = sorted([*(ROOT / "framework").rglob("*.py"), *(ROOT / "plugins").rglob("*.py")])
property_test = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])


def digests(source: str) -> list[str]:
    return [unit.digest for unit in source_units(source)]


def statements(source: str) -> list[ast.stmt]:
    """Return the statements that begin a line of their own."""
    lines = source.splitlines()
    found = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.stmt)]
    return [node for node in found if not lines[node.lineno - 1][: node.col_offset].strip()]


def first_line(node: ast.stmt) -> int:
    return min([node.lineno, *(item.lineno for item in getattr(node, "decorator_list", []))])


@given(st.sampled_from(SOURCES), st.data())
@property_test
def test_comments_and_blank_lines_change_nothing(file: Path, data: st.DataObject) -> None:
    source = file.read_text()
    found = statements(source)
    assume(found)
    node = data.draw(st.sampled_from(found))
    lines = source.splitlines()
    comment = data.draw(st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=20))
    lines[first_line(node) - 1 : first_line(node) - 1] = ["", " " * node.col_offset + "# " + comment, ""]
    assert digests("\n".join(lines)) == digests(source)


@given(st.sampled_from(SOURCES), st.data())
@property_test
def test_a_docstring_changes_nothing_wherever_it_is_put(file: Path, data: st.DataObject) -> None:
    source = file.read_text()
    tree = ast.parse(source)
    owners = [
        n for n in ast.walk(tree) if isinstance(n, ast.Module | ast.ClassDef | ast.FunctionDef) and n.body
    ]
    owner = data.draw(st.sampled_from(owners))
    place = 1 if isinstance(owner, ast.Module) else 0  # `from __future__` stays first
    owner.body.insert(place, ast.Expr(ast.Constant(data.draw(st.text(max_size=20)))))
    assert digests(ast.unparse(ast.fix_missing_locations(tree))) == digests(source)


@given(st.sampled_from(SOURCES))
@property_test
def test_the_layout_of_the_text_changes_nothing(file: Path) -> None:
    source = file.read_text()
    assert digests(ast.unparse(ast.parse(source))) == digests(source)


@given(st.sampled_from(SOURCES), st.data())
@property_test
def test_a_changed_constant_changes_the_digest(file: Path, data: st.DataObject) -> None:
    source = file.read_text()
    tree = ast.parse(source)
    texts = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    checked = {
        id(n)
        for top in ast.walk(tree)
        if isinstance(top, ast.If) and "TYPE_CHECKING" in ast.dump(top.test)
        for n in ast.walk(top)
    }
    found = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, int | float | str)
        and id(node) not in texts | checked
    ]
    assume(found)
    node = data.draw(st.sampled_from(found))
    node.value = (
        f"{node.value}x"
        if isinstance(node.value, str)
        else not node.value
        if isinstance(node.value, bool)
        else node.value + 1
    )
    assert digests(ast.unparse(tree)) != digests(source)


def test_numbers_of_different_types_are_different_constants() -> None:
    assert len({tuple(digests(f"x = {value}")) for value in ("1", "1.0", "True", "'1'", "b'1'")}) == 5


def test_a_unit_reports_what_it_binds_mentions_imports_and_names() -> None:
    source = """
import os.path as p
from .near import a as b, c

def f(x):
    from far import inner
    return b(x, LIMIT, open("table.yaml"), run("-m", "package.module:Class"))

LIMIT = 3
f(LIMIT)
"""
    *imports, function, limit, call = source_units(source)
    assert [(unit.names, unit.imports) for unit in imports] == [
        (("p",), ((0, "os.path", ""),)),
        (("b",), ((1, "near", "a"),)),
        (("c",), ((1, "near", "c"),)),
    ]
    assert (function.names, function.refs) == (("f",), ("LIMIT", "b"))
    assert function.imports == ((0, "far", "inner"),)
    assert function.texts == ("package.module", "table.yaml")
    assert limit.names == ("LIMIT",)
    assert (call.names, call.refs) == ((), ("LIMIT", "f"))


def test_what_only_a_type_checker_reads_does_not_count() -> None:
    plain = "import a\nx = a.b\n"
    guarded = "import a\nif TYPE_CHECKING:\n    import c\n    y = 1\nx = a.b\n"
    assert digests(guarded) == digests(plain)
