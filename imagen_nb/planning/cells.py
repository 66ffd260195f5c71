r"""A request written back as the `%%imagen` cell that makes it again.

The words of the first line are written for `planning/grammar.py`: a word stands as it is, or is quoted whole or behind
`NAME=` as a JSON string, which may hold spaces, quotes and, escaped, line breaks:

    --aspect-ratio 16:9    -p seed=3    -p negative_prompt="two words, \"quoted\""

The prompt is the rest of the cell, verbatim. The reader of a cell takes one line break off either end of it, so one is
added to a prompt that begins or ends with one. `--raw` stands where the prompt has a brace: it is never taken for a
template. A carriage return becomes a line feed, as front ends rewrite line ends anyhow.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from imagen_nb.planning.models import catalogue_spec
from imagen_nb.planning.options import DOCUMENTED
from imagen_nb.planning.values import spells_json

_PLAIN_NAME = re.compile(r"\w[\w.-]*")

if TYPE_CHECKING:
    from imagen_nb.planning.inputs import ParamSpec
    from imagen_nb.records import Request


def cell_text(request: Request) -> str:
    """The cell: its options on the first line, the prompt below it exactly as it was sent."""
    prompt = request.prompt.replace("\r\n", "\n").replace("\r", "\n")
    words = ["%%imagen", "-m", _word(request.model)]
    spec = catalogue_spec(request.model)
    for name, value in request.params.items():
        words += _option(name, value, spec.params.get(name) if spec else None)
    if "{" in prompt or "}" in prompt:
        words.append("--raw")
    opening = "\n" if prompt.startswith("\n") else ""
    ending = "\n" if prompt.endswith("\n") else ""
    return f"{' '.join(words)}\n{opening}{prompt}{ending}"


def _option(name: str, value: Any, param: ParamSpec | None) -> tuple[str, str]:
    """The words that give a parameter: by its own option where the value is one plain word for it, else by `-p`."""
    is_text = isinstance(value, str)
    # An option of its own takes a comma list, and strips what is in it.
    if name in DOCUMENTED and is_text and value and value == value.strip() and "," not in value and value[0] != "-":
        return f"--{name.replace('_', '-')}", _word(value)
    return "-p", assignment(name, value, param)


def assignment(name: str, value: Any, param: ParamSpec | None = None) -> str:
    """`NAME=VALUE` as one word, to be read again as just this value, of a parameter that nothing is known of if None.

    A text that looks like a number or the like is written as a JSON string where it could be taken for one, and so is a
    name that is no plain word.
    """
    is_clear = isinstance(value, str) and (param is not None or not spells_json(value))
    text = value if is_clear else json.dumps(value, ensure_ascii=False)
    return f"{name}={_word(text)}" if _PLAIN_NAME.fullmatch(name) else _word(f"{json.dumps(name)}={text}")


def _word(text: str) -> str:
    """The text as one word: as it is where it can be, else as a JSON string, with unprintable characters escaped."""
    if text and text.isprintable() and not any(mark in text for mark in " \"';"):
        return text
    return json.dumps(text, ensure_ascii=not text.isprintable())
