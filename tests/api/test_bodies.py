"""A reply's body: what is large in earnest is read, and what only grows in memory is not."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import pytest
from acts import reply
from hypothesis import given
from hypothesis import strategies as st
from origin import Origin
from providers import CANARY, Naps, api_of, fox, soon

from imagen_nb.api.http import WEIGHT_CAP, Body, read_reply, weight
from imagen_nb.errors import UncertainError
from imagen_nb.settings import Secret

URI = "data:image/png;base64," + "AbC+/09=" * 1000


def _read(data: bytes, token: str | None = None) -> Any:
    body = Body(Secret(token) if token else None)
    for start in range(0, len(data), 65536):
        body.sink(data[start : start + 65536])
    text = body.text()
    return read_reply(200, {}, text.text, text.number).body


# -- embedded images ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        {"id": "a", "output": URI},
        {"output": [URI, "https://files.example/a.jpg", URI + "x"], "metrics": {"predict_time": 1.5, "n": 1e-9}},
        {"input": {"prompt": "a \U0001f98a", "image": URI}, "output": {"deep": [[URI]]}},
        {"logs": f'he said "{URI}", and left'},
        {"logs": f'"{URI}\\', "output": f"{URI}\\"},
        {"output": f"{URI}\n{URI}", "logs": "data:,"},
        [URI],
        URI,
    ],
    ids=["string", "list", "echo", "in a text", "before a backslash", "line break", "root list", "root"],
)
@pytest.mark.parametrize("is_ascii", [True, False])
def test_an_embedded_image_is_read_as_any_parser_would(value: Any, *, is_ascii: bool) -> None:
    """What was taken out before parsing is where it was, and what only looks like it was left alone."""
    assert _read(json.dumps(value, ensure_ascii=is_ascii).encode()) == value


def test_an_embedded_image_with_escaped_slashes_is_read() -> None:
    """As some gateways write them."""
    assert _read(json.dumps({"output": URI}).replace("/", r"\/").encode()) == {"output": URI}


@given(st.lists(st.sampled_from(['"', "\\", "/", ",", "data:", ":", URI, "x", "é", "\n", "\\u0041"]), max_size=12))
def test_no_text_around_an_embedded_image_changes_what_is_read(pieces: list[str]) -> None:
    """Quotes, backslashes and escapes in any order: the same as parsing it all at once."""
    value = {"".join(pieces[:3])[:50]: "".join(pieces), "b": [URI, "".join(reversed(pieces))]}
    assert _read(json.dumps(value).encode()) == value


@given(st.lists(st.sampled_from(['"', "\\", "[", "]", ",", "data:", URI, f'"{URI}"', "1", "é", "\n"]), max_size=12))
def test_what_is_no_json_stays_none(pieces: list[str]) -> None:
    """Taking images out neither mends a broken reply nor breaks a whole one."""
    _agrees("".join(pieces).encode())


def test_a_number_before_an_embedded_image_does_not_make_one_of_it() -> None:
    """Two values without a comma stay broken."""
    _agrees(f'[1"{URI}"]'.encode())


def _agrees(data: bytes) -> None:
    try:
        expected = json.loads(data)
    except ValueError:
        expected = None
    assert _read(data) == expected


def test_the_token_is_masked_in_all_of_it() -> None:
    """In texts and in embedded images, should a provider repeat it there."""
    said = _read(json.dumps({"detail": f"bad {CANARY}", "output": URI + CANARY}).encode(), CANARY)
    assert said == {"detail": "bad [token]", "output": URI + "[token]"}


# -- weight ------------------------------------------------------------------------------------------------------------

PIECES = {
    **{piece: piece for piece in ("[]", "{}", "[[]]", "[0]", '{"":0}', '{"":{}}', '{"":[]}', "1.5", "999", "1e99")},
    "objects with six names": '{"a":1,"b":2,"c":3,"d":4,"e":5,"f":6}',
    "names of their own": "".join(f'{{"{n:x}":0}},' for n in range(10_000))[:-1],
    "texts of their own": "".join(f'"{n:x}",' for n in range(10_000))[:-1],
    "a prediction": json.dumps({"id": "abc", "input": {"prompt": "a fox", "n": 1}, "output": None, "metrics": {}}),
    "narrow": f'"{"a" * 99_999}"',
    "wide": f'"{"a" * 99_999}\U0001f600"',
    "wide in ASCII": f'"{"a" * 99_999}\\ud83d\\ude00"',
    "not Latin": f'"{"狐" * 99_999}"',
}


@pytest.mark.parametrize("piece", PIECES.values(), ids=PIECES)
def test_parsing_takes_no_more_than_was_weighed(piece: str) -> None:
    """Measured: the text and all that is made of it, of whatever a reply is full."""
    data = f"[{','.join([piece] * max(1, 200_000 // len(piece)))}]".encode()
    tracemalloc.start()
    try:
        json.loads(data.decode())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak <= weight(data) + 4096


def test_a_full_page_of_a_list_is_far_from_too_heavy() -> None:
    """A hundred predictions, each with a long log and a prompt in any script."""
    entry = {
        "id": "x" * 26,
        "input": {"prompt": "狐" * 480},
        "logs": "10%: step, done\n" * 500,
        "urls": {"get": URI[:99]},
    }
    assert weight(json.dumps({"results": [entry] * 100}, ensure_ascii=False).encode()) < WEIGHT_CAP / 2


def test_a_reply_that_is_too_heavy_is_uncertain() -> None:
    """A create is looked for then, like any other whose reply cannot be used; nothing is sent again at once."""
    heavy = b"[" + b",".join([b"{}"] * 500_000) + b"]"
    with Origin(token=CANARY) as origin:
        for kind in ("create", "get"):
            origin.fault(kind, after=[reply(heavy)])
        client = api_of(origin, doze=Naps())
        with pytest.raises(UncertainError, match="too large to be read"):
            client.create(fox(), deadline=soon())
        with pytest.raises(UncertainError, match="too large to be read"):
            client.get("abc", deadline=soon())
        assert len(origin.seen) == 2
