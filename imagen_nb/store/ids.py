"""Run ids: short words whose order is the order in which the runs were asked for."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator

_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's: no i, l, o, u
_LENGTH = 16
_RANDOM_BITS = 35
_STEP_BITS = 16
_WORD = re.compile(rf"[{_DIGITS}]{{{_LENGTH}}}")


def is_id(text: str) -> bool:
    """Whether the text has the form of a run or session id, and so is safe as a file name."""
    return _WORD.fullmatch(text) is not None


def encoded(number: int) -> str:
    """The 16 base32 digits of an 80-bit number; the order of the words is the order of the numbers."""
    return "".join(_DIGITS[number >> shift & 31] for shift in range((_LENGTH - 1) * 5, -1, -5))


def decoded(word: str) -> int:
    """The number that `encoded` made the word from; 0 for a word of any other form."""
    if not is_id(word):
        return 0
    number = 0
    for digit in word:
        number = number << 5 | _DIGITS.index(digit)
    return number


def new_id(now_us: int) -> str:
    """One id for a moment in µs since 1970: 45 bits of milliseconds, then 35 random bits."""
    return encoded(_number(now_us))


def ids_after(newest: str | None, now_us: int) -> Iterator[str]:
    """Endless ids for a moment in µs since 1970, each greater than the one before and than `newest`.

    A clock that jumps back, or many ids in one millisecond, only make the steps smaller.
    """
    last = decoded(newest or "")
    while True:
        last = max(_number(now_us), last + 1 + secrets.randbits(_STEP_BITS))
        yield encoded(last)


def _number(now_us: int) -> int:
    return max(now_us, 0) // 1000 << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS)
