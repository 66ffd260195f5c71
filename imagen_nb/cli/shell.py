"""A shell's own words: the options that `imagen-nb run` has, and what the package says in those of a notebook."""

from __future__ import annotations

import re
from dataclasses import replace

from imagen_nb.core.grammar import Option
from imagen_nb.core.options import TABLE
from imagen_nb.settings import KNOWN_PROVIDERS
from imagen_nb.workspace import CONFIRM_ABOVE

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

_VARIABLES = " or ".join(known.token_variable for known in KNOWN_PROVIDERS.values())
_IN_SHELL = (
    (r"%imagen_login or a token variable changes that", f"The variable {_VARIABLES} changes that"),
    (r", or call %imagen_login", ""),
    (r": %imagen_login, or its variable", " in its variable"),
    (r"\bLog in with %imagen_login", "Set its token in its variable"),
    (r"%imagen_login", "the variable of its token"),
    (r"%config ImagenMagics\.prices, or Workspace", "in Python, Workspace"),
    (r"\bimagen_nb\.reconcile\(\)", "imagen-nb reconcile"),
    (r"\b(home|provider)=", r"--\1"),
)


def in_shell(text: str) -> str:
    """A hint or a notice with what one types in a notebook put as one types it in a shell."""
    for pattern, words in _IN_SHELL:
        text = re.sub(pattern, words, text)
    return text
