"""The matrix's own arithmetic: which Python a set of versions gets, and that the pins are the bounds we promise."""

from __future__ import annotations

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from sets import ROOT, SETS, VersionSet, chosen


def test_set_prefers_its_first_python() -> None:
    """A set takes the first of its Pythons that is there, and is skipped where none is."""
    each = VersionSet("x", (), ((3, 10), (3, 11)))
    assert chosen(each, {(3, 11): "b", (3, 10): "a"}) == (3, 10)
    assert chosen(each, {(3, 11): "b"}) == (3, 11)
    assert chosen(each, {(3, 13): "c"}) is None


def test_set_without_pythons_takes_the_newest() -> None:
    """3.13 is newer than 3.9, which it would not be as text."""
    assert chosen(VersionSet("x", ()), {(3, 9): "a", (3, 13): "b", (3, 12): "c"}) == (3, 13)


def test_lowest_set_is_what_the_package_says_it_supports() -> None:
    """Each lower bound of pyproject.toml is a pin of the lowest set, so that every bound is tested."""
    text = (ROOT / "pyproject.toml").read_text()
    declared = text[text.index("dependencies = [") : text.index("[project.optional-dependencies]")]
    lowest = dict(re.findall(r'"([a-z0-9]+)>=([0-9.]+)', declared))
    pins = dict(re.findall(r"^([a-z0-9]+)(?:==|<)([0-9.]*[0-9])", "\n".join(SETS[0].pins), re.MULTILINE))
    for name, bound in lowest.items():
        assert pins[name].startswith(bound), f"{name}: {bound} is promised, {pins[name]} is tested"
