r"""A request written back as the `%%imagen` cell that makes it again.

The words of the first line are written for `planning/grammar.py`: a word stands as it is, or is quoted whole or behind
`NAME=` as a JSON string, which may hold spaces, quotes and, escaped, line breaks:

    --aspect-ratio 16:9    -p seed=3    -p negative_prompt="two words, \"quoted\""

What stands below is the template, each of whose slots `--vary` gives one value, so that the log has them again; where
there are none it is the prompt, verbatim. The reader of a cell takes one line break off either end of it, so one is
added to a text that begins or ends with one. `--raw` stands where the prompt has a brace: it is never taken for a
template. A carriage return becomes a line feed, as front ends rewrite line ends anyhow.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imagen_nb.planning.inputs import split_values
from imagen_nb.planning.models import catalogue_spec
from imagen_nb.planning.options import DOCUMENTED
from imagen_nb.planning.template import parse
from imagen_nb.planning.values import escape_bars, spells_json
from imagen_nb.records import InputFile

_PLAIN_NAME = re.compile(r"\w[\w.-]*")

if TYPE_CHECKING:
    from imagen_nb.planning.inputs import ParamSpec
    from imagen_nb.records import Request


def cell_text(request: Request, experiment: str | None = None, tag: str | None = None) -> str:
    """The cell: its options on the first line, below it the template, its slots filled by `--vary`, or the prompt."""
    words = ["%%imagen", "-m", _word(request.model)]
    words += [word for form, name in (("-e", experiment), ("-t", tag)) if name for word in (form, _word(name))]
    spec = catalogue_spec(request.model)
    for name, value in request.params.items():
        words += _option(name, value, spec.params.get(name) if spec else None)
    slots = _slot_words(request)
    text = request.template if slots else request.prompt.replace("\r\n", "\n").replace("\r", "\n")
    words += slots
    if not slots and ("{" in text or "}" in text):
        words.append("--raw")
    opening = "\n" if text.startswith("\n") else ""
    ending = "\n" if text.endswith("\n") else ""
    return f"{' '.join(words)}\n{opening}{text}{ending}"


def _slot_words(request: Request) -> list[str]:
    """The words that fill the template's slots; none where there are none, or they would be read as another prompt."""
    words: list[str] = []
    for name, value in request.slots.items():
        text = escape_bars(str(value), is_last=True)
        if not str(value) or split_values(text, mark="|") != [str(value)]:
            return []
        words += ["--vary", _word(f"{name}={text}")]
    template = parse(request.template)
    is_filled = {slot.name for slot in template.slots} == request.slots.keys() and "\r" not in request.template
    return words if is_filled and template.render(request.slots) == request.prompt else []


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
    name that is no plain word. A file is named by its path, `@fox.png`.
    """
    is_clear = isinstance(value, str) and (param is not None or not (spells_json(value) or value.startswith("@")))
    files = value if isinstance(value, list | tuple) else [value]
    names = [_name_file(each) for each in files if isinstance(each, InputFile)]
    if names and files is not value:
        (text,) = names
    elif names and len(names) == len(files) and param is not None and not any(",@" in name for name in names):
        text = ",".join(names)
    else:
        text = value if is_clear else json.dumps(value, ensure_ascii=False, default=_name_file)
    return f"{name}={_word(text)}" if _PLAIN_NAME.fullmatch(name) else _word(f"{json.dumps(name)}={text}")


def _name_file(file: InputFile) -> str:
    """The path of a file behind its mark, seen from the working folder where it lies below that."""
    path = file.original
    return f"@{(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path).as_posix()}"


def _word(text: str) -> str:
    """The text as one word: as it is where it can be, else as a JSON string, with unprintable characters escaped."""
    if text and text[0] != "-" and text.isprintable() and not any(mark in text for mark in " \"';"):
        return text
    return json.dumps(text, ensure_ascii=not text.isprintable())
