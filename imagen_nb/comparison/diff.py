"""What differs between two runs: their prompts word by word, and their settings name by name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import SequenceMatcher

from imagen_nb.core.records import Run
from imagen_nb.view import Change, Difference
from imagen_nb.view.words import value

_WORDS = re.compile(r"\s+|[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+|\W")
_LONG = 2_000


def prompt_diff(a: str, b: str) -> tuple[Change, ...]:
    """The way from one text to the other as pieces that both, only the first or only the second has.

    The pieces that are not `added` join to `a`, those that are not `removed` to `b`.
    """
    before, after = _WORDS.findall(a), _WORDS.findall(b)
    matcher = SequenceMatcher(None, before, after, autojunk=max(len(before), len(after)) > _LONG)
    return tuple(Change(kind, text) for kind, text in _steps(matcher, before, after) if text)


def settings_diff(a: Run, b: Run) -> tuple[Difference, ...]:
    """Model, slots and parameters that differ, in their order; None for one that a run does not have."""
    first, second = _settings(a), _settings(b)
    pairs = [(name, first.get(name), second.get(name)) for name in {**first, **second}]
    return tuple(Difference(*pair) for pair in pairs if pair[1] != pair[2])


def settings_shared(a: Run, b: Run) -> tuple[tuple[str, str], ...]:
    """Model, slots and parameters that both runs have alike, as text."""
    second = _settings(b)
    return tuple((name, text) for name, text in _settings(a).items() if text == second.get(name))


def _steps(matcher: SequenceMatcher[str], before: list[str], after: list[str]) -> Iterator[tuple[str, str]]:
    """The pieces in order. A space that stayed between two changed words belongs to the change around it."""
    removed = added = ""
    for tag, a0, a1, b0, b1 in matcher.get_opcodes():
        left, right = "".join(before[a0:a1]), "".join(after[b0:b1])
        if tag == "equal" and not ((removed or added) and left.isspace() and a1 < len(before) and b1 < len(after)):
            yield from (("removed", removed), ("added", added), ("same", left))
            removed = added = ""
        else:
            removed, added = removed + left, added + right
    yield from (("removed", removed), ("added", added))


def _settings(run: Run) -> dict[str, str]:
    """As text, since a whole number may have come back from a file as a float."""
    named = {"model": run.request.model, **run.request.slots, **run.request.params}
    return {name: value(item) for name, item in named.items() if item is not None}
