"""The map in the package's docstring is the house as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import imagen_nb

HOUSE = Path(imagen_nb.__file__).parent
MAP = imagen_nb.__doc__ or ""
DOORS = {"__init__.py", "__main__.py", "accessor.py"}


def rooms() -> set[str]:
    """The sub-packages and the modules beside them, as the map writes them."""
    packages = {f"{path.parent.name}/" for path in HOUSE.glob("*/__init__.py")}
    return packages | {path.name for path in HOUSE.glob("*.py")} - DOORS


def test_the_map_names_every_room_once_and_no_other() -> None:
    """A newcomer finds each room in the list, and nothing in the list that is not there."""
    listed = re.findall(r"^    ([a-z]+(?:/|\.py)) {2,}\S", MAP, re.MULTILINE)
    assert sorted(listed) == sorted(rooms())


def test_every_place_that_the_map_names_exists() -> None:
    """Files and folders that the map sends one to are there."""
    named = set(re.findall(r"\b(?:[a-z_]+/)+(?:[a-z_]+(?:\.[a-z]+)?)?|\b[a-z_]+\.py\b", MAP))
    assert len(named) > len(rooms())
    inside = [path.relative_to(HOUSE).as_posix() for path in HOUSE.rglob("*")]
    for place in named:
        assert any(path == place.rstrip("/") or path.endswith(f"/{place.rstrip('/')}") for path in inside), place


def test_the_map_stays_short() -> None:
    """It is read in a minute."""
    assert len(MAP.splitlines()) <= 60


@pytest.mark.parametrize("room", sorted(path.parent.name for path in HOUSE.glob("*/__init__.py")))
def test_each_room_says_what_lives_there_and_what_never_does(room: str) -> None:
    """Two sentences at the door."""
    text = (HOUSE / room / "__init__.py").read_text(encoding="utf-8")
    door = text.split('"""')[1]
    assert "never" in door.lower() or "nothing" in door.lower() or "alone" in door.lower(), door
    assert len(re.findall(r"[.:;](?:\s|$)", door)) >= 2, door
