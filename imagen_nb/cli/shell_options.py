"""The options that `imagen-nb run` shares with the magic, those that say where, and the manual of both."""

from __future__ import annotations

from dataclasses import replace

from imagen_nb.planning.grammar import Option
from imagen_nb.planning.options import TABLE
from imagen_nb.settings import CONFIRM_ABOVE

_LEFT_OUT = ("output", "background", "help")
_OTHERWISE = {"yes": f"go on with a plan of more than {CONFIRM_ABOVE} requests", "quiet": "no progress, no result"}

WHERE = (
    Option("home", "", "DIR", "the folder with the log and the images (default: imagen_runs)"),
    Option("provider", "", "NAME", "kkiai, replicate, simulator, or a base URL"),
)
"""The options that say which folder, and which provider."""

RUN_TABLE = (
    *(replace(each, help=_OTHERWISE.get(each.name, each.help)) for each in TABLE if each.name not in _LEFT_OUT),
    *WHERE,
    *(each for each in TABLE if each.name == "help"),
)
"""The options of the magic that mean something in a shell, and those that say where."""

MANUAL = """usage: imagen-nb run [options] PROMPT

Make images from a prompt; every request and all that became of it is logged.

The prompt is the rest of the words, joined by single spaces; quote it, and it
is sent as it stands. Options end at the first word that is not one, or at --.
Results are on stdout, progress is on stderr.

options:
{options}

slots in a prompt:
  {{name}}            a --vary name
  {{oil|ink}}         alternatives, an axis; {{style=oil|ink}} names it
  {{{{ and }}}}         braces as such; --raw takes every brace as such
"""
