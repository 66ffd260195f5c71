r"""A request written back as the `%%imagen` cell that makes it again.

The words of the first line are written for the grammar of `core/grammar.py`: a word stands as it is, or is quoted whole
or behind `NAME=` as a JSON string, which may hold spaces, quotes and, escaped, line breaks:

    --aspect-ratio 16:9    -p seed=3    -p negative_prompt="two words, \"quoted\""

The prompt is the rest of the cell, verbatim. The reader of a cell takes one line break off either end of it, so one is
added to a prompt that begins or ends with one. `--raw` stands where the prompt has a brace: it is never taken for a
template. A carriage return becomes a line feed, as front ends rewrite line ends anyhow.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from imagen_nb.planning.models import catalogue_spec
from imagen_nb.planning.values import spells_json

if TYPE_CHECKING:
    from imagen_nb.planning.inputs import ParamSpec
    from imagen_nb.records import Request

_LONG_OPTIONS = {
    "aspect_ratio": "--aspect-ratio",
    "output_format": "--output-format",
    "safety_filter_level": "--safety-filter-level",
}


def cell_text(request: Request) -> str:
    """The cell: its options on the first line, the prompt below it exactly as it was sent."""
    prompt = request.prompt.replace("\r\n", "\n").replace("\r", "\n")
    words = ["%%imagen", "-m", quoted(request.model)]
    spec = catalogue_spec(request.model)
    for name, value in request.params.items():
        words += _option(name, value, spec.params.get(name) if spec else None)
    if "{" in prompt or "}" in prompt:
        words.append("--raw")
    opening = "\n" if prompt.startswith("\n") else ""
    ending = "\n" if prompt.endswith("\n") else ""
    return f"{' '.join(words)}\n{opening}{prompt}{ending}"


def quoted(text: str) -> str:
    """The text as one word: as it is where it can be, else between double quotes."""
    return text if _is_plain(text) else _as_json(text)


def assigned(name: str, text: str) -> str:
    """`NAME=text` as one word."""
    return f"{name}={quoted(text)}"


def _option(name: str, value: Any, param: ParamSpec | None) -> list[str]:
    """The words that give a parameter: by its own option where the value is one plain word for it, else by `-p`.

    A text that looks like a number or the like is written as a JSON string where it could be taken for one.
    """
    if name in _LONG_OPTIONS and isinstance(value, str) and _is_single(value):
        return [_LONG_OPTIONS[name], quoted(value)]
    is_clear = isinstance(value, str) and (param is not None or not spells_json(value))
    return ["-p", assigned(name, value if is_clear else json.dumps(value, ensure_ascii=False))]


def _is_single(text: str) -> bool:
    """Whether an option that takes a comma list, and strips what is in it, leaves the text as it is."""
    return bool(text) and text == text.strip() and "," not in text and not text.startswith("-")


def _is_plain(text: str) -> bool:
    return bool(text) and text.isprintable() and not any(mark in text for mark in " \"'")


def _as_json(text: str) -> str:
    """A JSON string on one line: line separators and other unprintable characters are escaped."""
    return json.dumps(text, ensure_ascii=not text.isprintable())
