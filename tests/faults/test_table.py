"""The table of faults is whole: each row has its tests, and each test named there is one that runs."""

from __future__ import annotations

import ast
import importlib.util
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
_SPEC = importlib.util.spec_from_file_location("fault_table", Path(__file__).with_name("table.py"))
assert _SPEC is not None
assert _SPEC.loader is not None
table = importlib.util.module_from_spec(_SPEC)
sys.modules[_SPEC.name] = table
_SPEC.loader.exec_module(table)


def test_every_fault_has_its_tests() -> None:
    """The rows are counted without a gap, each with at least one test through the whole house, and said in words."""
    assert list(table.ROWS) == list(range(1, len(table.ROWS) + 1))
    for number, row in table.ROWS.items():
        assert row.fault, number
        assert row.outcome, number
        assert len(set(row.tests)) == len(row.tests) > 0, number
        assert number == 37 or any(each.startswith("tests/faults/") for each in row.tests), number


def test_every_test_that_the_table_names_is_there() -> None:
    """A test that is renamed or removed is noticed here."""
    named = {each for row in table.ROWS.values() for each in row.tests}
    files = {each.partition("::")[0] for each in named}
    assert named - {f"{file}::{name}" for file in files for name in names_in(ROOT / file)} == set()


def names_in(path: Path) -> set[str]:
    """The names by which pytest collects what stands in a file, read off its text."""
    found = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            found.add(node.name)
        elif isinstance(node, ast.Assign) and ast.unparse(node.value).endswith(".TestCase"):
            # the test that hypothesis makes of a state machine
            found.add(f"{ast.unparse(node.targets[0])}::runTest")
    return found
