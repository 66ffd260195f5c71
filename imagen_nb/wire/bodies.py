"""The body of a reply from the API: capped, without the token, and parsed within a bounded amount of memory.

A body takes far more memory parsed than it has bytes: an empty list 80 bytes for its two, and one emoji makes each
letter of a long text four bytes wide. Only embedded images are large in earnest. So they are taken out before parsing,
being plain text that needs no parser, and what is left is weighed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from imagen_nb.settings import Secret
from imagen_nb.wire.losses import Unreadable

BODY_CAP = 16 * 1024 * 1024
"""The most bytes of a reply that are read."""

WEIGHT_CAP = 48 * 1024 * 1024
"""The most bytes of memory that parsing a reply may take, beside its embedded images."""

_EMBEDDED = re.compile(rb'(?<!\\)"(data:[^"\x00-\x1f\x7f-\xff]{4096,})(?<!\\)"')

# What is taken at most, as measured, by each sign of something to make, and by each byte as text and as a value: two in
# all where every letter takes one, else eight.
_DICT, _LIST, _VALUE = 224, 96, 64
_NARROW, _WIDE = 2, 8


@dataclass(frozen=True, slots=True)
class Text:
    """JSON text in which a number nobody else writes stands for each embedded image; `number` reads both."""

    text: str
    embedded: dict[str, str] = field(default_factory=dict)

    @property
    def number(self) -> Callable[[str], float | str] | None:
        """What `json.loads` is to read fractions with, None where it knows itself."""
        if not self.embedded:
            return None
        return lambda word: self.embedded.get(word) or float(word)


class Body:
    """Collects what arrives of one reply; `token` is masked, should the provider repeat it."""

    def __init__(self, token: Secret | None) -> None:
        self._received = bytearray()
        self._token = token

    def sink(self, piece: bytes) -> None:
        """Take one more piece. Raises `Unreadable` for more than `BODY_CAP` bytes."""
        self._received.extend(piece)
        if len(self._received) > BODY_CAP:
            raise Unreadable(f"the provider's reply is larger than {BODY_CAP // 1024**2} MB")

    def text(self) -> Text:
        """The body as text, once: what was received is let go of. Raises `Unreadable` for what is too much to parse."""
        embedded: dict[str, str] = {}
        rest = _without_images(self._masked(), embedded)
        if weight(rest) > WEIGHT_CAP:
            raise Unreadable("the provider's reply is too large to be read")
        return Text(rest.decode("utf-8-sig", "replace"), embedded)

    def _masked(self) -> bytearray:
        data, self._received = self._received, bytearray()
        return data if self._token is None else self._token.mask_bytes(data)


def weight(data: bytes | bytearray) -> int:
    """How many bytes of memory parsing this JSON takes at most."""
    is_narrow = data.isascii() and b"\\u" not in data
    made = _DICT * data.count(b"{") + _LIST * data.count(b"[") + _VALUE * (data.count(b",") + data.count(b":"))
    return made + len(data) * (_NARROW if is_narrow else _WIDE)


def _without_images(data: bytes | bytearray, embedded: dict[str, str]) -> bytes | bytearray:
    """The JSON with a number in the place of each long `data:` URI, which goes to `embedded`."""
    if b'"data:' not in data:
        return data

    def taken(found: re.Match[bytes]) -> bytes:
        uri = str(view[slice(*found.span(1))], "ascii")
        if "\\" in uri:
            uri = uri.replace("\\/", "/")  # as some write a slash
        if "\\" in uri:
            return found[0]
        word = f"1e-{10**9 + len(embedded)}"
        embedded[word] = uri
        return f" {word} ".encode()  # apart from a digit before it, lest a broken reply become a whole one

    with memoryview(data) as view:
        return _EMBEDDED.sub(taken, data)
