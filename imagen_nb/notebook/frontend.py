"""The scripts and styles that widgets bring along: plain files in `assets/`, joined where one needs another.

A widget's script reaches the browser as one text, so a relative `import` cannot be followed there. Each file is a valid
module all the same; `script` puts what it imports in front of it.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

_IMPORT = re.compile(r'^import \{[^}]*\} from "\./([a-z]+\.js)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=function |const |class )", re.MULTILINE)


@cache
def script(name: str) -> str:
    """The module `name` with the modules that it imports in front, as one text."""
    text = _read(name)
    parts = [_EXPORT.sub("", script(needed)) for needed in _IMPORT.findall(text)]
    return "\n".join([*parts, _IMPORT.sub("", text)])


@cache
def style(*names: str) -> str:
    """The style sheets one after another, the shared colours first."""
    return "\n".join(_read(name) for name in ("theme.css", *names))


def _read(name: str) -> str:
    return resources.files("imagen_nb.notebook").joinpath("assets").joinpath(name).read_text("utf-8")
