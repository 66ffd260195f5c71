"""The wording that errors share: lists of allowed values, and a guess at what was meant."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from os.path import commonprefix
from typing import Any

_SHOWN = 20
_PLAIN = (str, int, float, bool, list, tuple, dict)


def closest(word: object, choices: Iterable[object]) -> str | None:
    """The choice that looks most like `word`, letter case aside, or None when none does."""
    by_folded = {str(choice).casefold(): str(choice) for choice in choices}
    folded = str(word).casefold()
    found = get_close_matches(folded, by_folded, n=4, cutoff=0.6)
    # Of those, the one that begins most like it: 16:10 is nearer to 16:9 than to 1:1.
    likest = max(found, key=lambda each: len(commonprefix([each, folded])), default=None)  # noqa: RUF071 - letters count
    return by_folded[likest] if likest else None


def did_you_mean(word: object, choices: Iterable[object], otherwise: str) -> str:
    """A hint: the likeliest choice, else the sentence `otherwise`."""
    guess = closest(word, choices)
    return f"Did you mean {guess}?" if guess else otherwise


def listed(values: Sequence[Any], *, shown: int = _SHOWN) -> str:
    """The values between commas; beyond `shown` of them, the first ones and how many there are."""
    texts = [str(value) for value in values]
    if len(texts) <= shown:
        return ", ".join(texts) or "none"
    return f"{', '.join(texts[:shown])} and {len(texts) - shown} more"


def shortened(value: object, *, width: int = 60) -> str:
    """A plain value as Python would write it, cut to at most `width` characters; of anything else its type alone."""
    if value is None:
        return "nothing"
    text = repr(value) if isinstance(value, _PLAIN) else f"a {type(value).__name__}"
    return text if len(text) <= width else f"{text[: width - 1]}…"
