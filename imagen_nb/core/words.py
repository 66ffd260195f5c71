"""The wording that errors share: lists of allowed values, and a guess at what was meant."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any

_SHOWN = 20
_PLAIN = (str, int, float, bool, list, tuple, dict)


def closest(word: object, choices: Iterable[object]) -> str | None:
    """The choice that looks most like `word`, letter case aside, or None when none does."""
    by_folded = {str(choice).casefold(): str(choice) for choice in choices}
    found = get_close_matches(str(word).casefold(), by_folded, n=1, cutoff=0.6)
    return by_folded[found[0]] if found else None


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
