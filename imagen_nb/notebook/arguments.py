"""What a magic was given, as IPython hands it over: a line, or a line and a cell's body."""

from __future__ import annotations

import re
from itertools import pairwise

from IPython.core.inputtransformer2 import make_tokens_by_line

from imagen_nb.core.options import Options, cell_prompt, parse_line
from imagen_nb.core.words import shortened
from imagen_nb.errors import InputError

_QUESTION = re.compile(r"(?P<before>\s*(?:[^=%#]*[^=!<>%#]=\s*)?)%imagen[ \t]+(?P<text>[^?\s].*\?)\s*")


def asked(line: str, cell: str | None) -> tuple[Options, str]:
    """The options and the prompt of `%imagen` (without `cell`) or `%%imagen`; --help needs no prompt.

    Raises `InputError` for a mistake in the options, an empty prompt, and text beside the options of a cell.
    """
    if cell is None and line.strip() in ("?", "??"):
        return Options(help=True), ""
    options, rest = parse_line(line)
    if options.help:
        return options, ""
    if cell is None:
        return options, _present(rest, "Write %imagen a red fox in snow; %imagen? is the manual.")
    if rest:
        raise InputError(
            f"the first line of %%imagen holds options only, and {shortened(rest)} is none",
            "The prompt begins on the second line; %imagen with one % takes it on its own line.",
        )
    return options, _present(cell_prompt(cell), "Write it below the line with %%imagen.")


def keep_question_marks(lines: list[str]) -> list[str]:
    """The lines of a cell, with `%imagen … ?` written as a call.

    IPython takes any line that ends in a question mark for a request for help, prompts included. Lines inside a string
    or a cell magic are left alone.
    """
    first = next((line for line in lines if line.strip()), "")
    if first.startswith("%%") or not any(_QUESTION.fullmatch(line) for line in lines):
        return lines
    rows = _magic_rows(lines)
    return [_called(line) if number in rows else line for number, line in enumerate(lines, 1)]


def _called(line: str) -> str:
    found = _QUESTION.fullmatch(line)
    if found is None:
        return line
    return f"{found['before']}get_ipython().run_line_magic('imagen', {found['text']!r})\n"


def _magic_rows(lines: list[str]) -> set[int]:
    """The numbers of the lines that hold `%imagen` as code, counted from 1."""
    tokens = [token for row in make_tokens_by_line(lines) for token in row]
    return {mark.start[0] for mark, name in pairwise(tokens) if (mark.string, name.string) == ("%", "imagen")}


def _present(prompt: str, hint: str) -> str:
    if not prompt.strip():
        raise InputError("the prompt is empty", hint)
    return prompt
