"""Files that are there whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from imagen_nb.errors import InputError
from imagen_nb.files import absolute_path, replace_file, write_errors


def test_a_file_takes_its_place_when_it_is_whole(tmp_path: Path) -> None:
    """Until the block ends the old file stands, and folders on the way are made; nothing else is left behind."""
    path = tmp_path / "a" / "b.txt"
    for text in ("first", "second"):
        with replace_file(path) as temporary:
            temporary.write_text(text)
            assert not path.exists() or path.read_text() == "first"
        assert path.read_text() == text
    assert list(path.parent.iterdir()) == [path]


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    """Neither half a file nor a temporary one survives an error."""
    path = tmp_path / "b.txt"
    path.write_text("old")
    with pytest.raises(FileNotFoundError), replace_file(path) as temporary:
        temporary.with_name("not there").rename(temporary)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("mode", [None, 0o600, 0o444])
def test_permissions_are_those_one_expects(tmp_path: Path, mode: int | None) -> None:
    """A new file is like any other, one that replaces another has the permissions of that one."""
    usual, path = tmp_path / "usual.txt", tmp_path / "b.txt"
    usual.touch()
    if mode is not None:
        path.touch()
        path.chmod(mode)
    with replace_file(path) as temporary:
        temporary.write_text("new")
    assert path.stat().st_mode & 0o777 == (usual.stat().st_mode & 0o777 if mode is None else mode)


def test_a_refusal_to_write_names_the_place(tmp_path: Path) -> None:
    """What the system refuses, and what is no path, are mistakes in two lines."""
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "below.txt"
    with pytest.raises(InputError, match=r"below\.txt cannot be written"), write_errors(path), replace_file(path):
        pass
    for address in ("s3://b/x.csv", Path("s3://b/x.csv"), "file:///tmp/x.csv"):
        with pytest.raises(InputError, match="is an address, not a path"):
            absolute_path(address)
    for wrong in (3, "a\0b", None):
        with pytest.raises(InputError, match="is no place to write to"):
            absolute_path(wrong)  # type: ignore[arg-type] # that is the point
