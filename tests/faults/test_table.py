"""The table of faults is whole: each row has its tests, and each test named there is one that runs."""

from __future__ import annotations

import importlib.util
import subprocess
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
    """Rows 1 to 38, each with at least one test through the whole house, and said in words."""
    assert list(table.ROWS) == list(range(1, 39))
    for number, row in table.ROWS.items():
        assert row.fault, number
        assert row.outcome, number
        assert len(set(row.tests)) == len(row.tests) > 0, number
        assert number == 37 or any(each.startswith("tests/faults/") for each in row.tests), number


def test_every_test_that_the_table_names_is_collected() -> None:
    """A test that is renamed or removed is noticed here."""
    named = {each for row in table.ROWS.values() for each in row.tests}
    files = sorted({each.partition("::")[0] for each in named})
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *files]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    collected = {line.partition("[")[0] for line in done.stdout.splitlines() if "::" in line}
    assert named - collected == set()
