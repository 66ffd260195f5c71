"""Which sessions of a home are alive, and the ids of runs and sessions."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from imagen_nb.log.sessions import Session, decode_id, encode_id, ids_after, is_id, new_id


def test_a_session_is_alive_until_it_is_closed(home: Path) -> None:
    """Others of the same process see it, and what is no session id is nobody."""
    first, second = Session(home), Session(home)
    assert second.alive([first.id, second.id, "nobody", "../../etc/passwd", new_id(0)]) == {first.id, second.id}
    first.close()
    first.close()
    assert second.alive([first.id]) == set()
    second.close()
    assert list((home / "sessions").iterdir()) == []


def test_a_new_session_removes_what_the_dead_left(home: Path) -> None:
    """Lock files nobody holds go; other files, and those of the living, stay."""
    living = Session(home)
    folder = home / "sessions"
    (folder / f"{new_id(1)}.lock").touch()
    (folder / "notes.lock").touch()
    newcomer = Session(home)
    assert {path.stem for path in folder.iterdir()} == {living.id, newcomer.id, "notes"}
    living.close()
    newcomer.close()


def test_a_forgotten_session_ends_with_its_owner(home: Path) -> None:
    """Without close() too, once nobody refers to it."""
    watcher = Session(home)
    forgotten = Session(home).id
    assert watcher.alive([forgotten]) == set()
    watcher.close()


@given(st.integers(0, 2**80 - 1), st.integers(0, 2**80 - 1))
def test_ids_sort_as_their_numbers(one: int, other: int) -> None:
    """Sixteen safe letters and digits, in the same order as what they stand for."""
    assert is_id(encode_id(one))
    assert decode_id(encode_id(one)) == one
    assert (encode_id(one) < encode_id(other)) == (one < other)


@given(st.none() | st.text() | st.integers(0, 2**79).map(encode_id), st.integers(-(10**6), 10**16))
def test_ids_go_up(newest: str | None, now_us: int) -> None:
    """Whatever the clock says, and whatever the newest id is."""
    made = list(islice(ids_after(newest, now_us), 20))
    assert made == sorted(set(made))
    assert all(map(is_id, made))
    assert decode_id(newest or "") < decode_id(made[0])
