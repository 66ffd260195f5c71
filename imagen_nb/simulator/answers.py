"""What the simulator's text models say: something of the form that was asked for, the same for the same question.

A picture has a worth of its own, drawn from its content, so that whoever is asked twice about it holds the same view.
It means nothing. Asked which of two is better, a model follows a rule that can be found out, as real ones do: of about
one pair in four it likes the first, in whatever order they come (which pairs, depends on their content), and of all
others the one with the sharper edges; where these are within a hundredth of each other it calls them a tie.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from imagen_nb.simulator.files import Reference

_FIRST_SHARE = 0.25
"""Of how many pairs a model likes the first, whichever it is."""

_CLOSE = 0.01
"""How much sharper a picture is, as a part of its sharpness, that is not a tie."""

_PAIR = re.compile(r"\bA\b.*\bB\b", re.DOTALL)
_TIE = re.compile(r"\btie\b", re.IGNORECASE)
_YES_NO = re.compile(r"\byes\b.{0,12}\bno\b", re.IGNORECASE)
_RANGE = re.compile(r"(-?\d+)\s*(?:to|and|-|\u2013)\s*(\d+)")
_FIGURE = re.compile(r"\b(figure|integer|number|scale|score|rate|rating|how many|percent\w*)\b", re.IGNORECASE)


class Answer(Protocol):
    """Says something to a prompt and the pictures with it; `params` are the other inputs, the system prompt too.

    The same arguments give the same text.
    """

    def __call__(
        self, prompt: str, *, model: str, params: Mapping[str, Any], references: Sequence[Reference]
    ) -> str: ...


def answer(prompt: str, *, model: str, params: Mapping[str, Any], references: Sequence[Reference]) -> str:
    """`A`, `B` or `TIE` where a choice of two is asked for, `yes` or `no`, a figure, else a sentence; made up."""
    asked = f"{params.get('system_prompt') or ''}\n{prompt}"
    worths = [worth(model, each.sha256) for each in references]
    mean = sum(worths) / len(worths) if worths else worth(model, prompt)
    if _PAIR.search(asked):
        is_pair = len(references) == 2  # noqa: PLR2004 - of pictures
        first, second = (each.edges for each in references) if is_pair else (mean, 1 - mean)
        is_tie = _TIE.search(asked) and abs(first - second) <= _CLOSE * max(first, second)
        said = "TIE" if is_tie else "A" if first >= second else "B"
        if references and worth(model, " ".join(sorted(each.sha256 for each in references))) < _FIRST_SHARE:
            said = "A"
    elif _FIGURE.search(asked):
        span = _RANGE.search(asked)
        low, high = (int(span[1]), int(span[2])) if span else (0, 10)
        said = str(round(low + mean * (high - low)))
    elif _YES_NO.search(asked):
        said = "yes" if mean >= 0.5 else "no"  # noqa: PLR2004 - the middle
    else:
        seen = f" about {len(references)} picture{'s' * (len(references) > 1)}" if references else ""
        said = f'A simulated answer{seen} to "{" ".join(prompt.split())[:80]}".'
    return said


def worth(model: str, what: str) -> float:
    """What a model thinks of a picture or a text, from 0 to below 1."""
    digest = hashlib.sha256(f"{model}\n{what}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:6], "big") / 2**48
