"""What Tab offers in `%imagen`: options, their values, and the names that may stand in a slot.

A matcher of IPython's second kind, because it alone can complete past the `:` of `16:9` and keep Python names out of an
option's value. It asks nobody: models come from the catalogue and from what the workspace has met, experiments from a
log that is there already. Whatever goes wrong in it, Tab offers nothing new and nothing is shown.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from IPython.core.completer import SimpleCompletion

from imagen_nb.planning.grammar import CursorPlace, Option, cursor_place
from imagen_nb.planning.models import ModelSpec, ParamSpec, catalogue_names
from imagen_nb.planning.options import LOG_TABLE, TABLE, cell_prompt
from imagen_nb.planning.template import parse as parse_template
from imagen_nb.records import Status
from imagen_nb.settings import JOBS, KNOWN_PROVIDERS, TIMEOUT_S

if TYPE_CHECKING:
    from IPython.core.completer import CompletionContext

    from imagen_nb.workspace import Workspace

_CELL = re.compile(r"\s*%%imagen(?=\s|$)")
_LINE = re.compile(r"\s*(?:[^\W\d][\w.,\s\[\]'\"]*=\s*)?%(imagen|imagen_log|imagen_login)\s")
_LAST_WORD = re.compile(r"\S+\Z")
_OPEN_SLOT = re.compile(r"(?<!\{)\{(\w*)$")
# What most would want for an option whose value may be any number.
_USUAL = {"timeout": (f"{TIMEOUT_S:g}",), "jobs": (str(JOBS),)}


@dataclass(frozen=True, slots=True)
class Here:
    """Where the cursor is: the text of the `magic` before it, and what `follows`; `is_body` below the first line."""

    magic: str
    text: str
    follows: str = ""
    head: str = ""
    is_body: bool = False


@dataclass(frozen=True, slots=True)
class Offer:
    """What to offer in place of `fragment`, the text just before the cursor."""

    fragment: str
    texts: tuple[str, ...]


class Sources:
    """Where names come from: the notebook's variables, and the workspace as it is configured now."""

    def __init__(self, workspace: Callable[[], Workspace], namespace: Mapping[str, Any]) -> None:
        self._workspace = workspace
        self._namespace = namespace

    def models(self) -> Iterable[str]:
        workspace = self._workspace()
        return dict.fromkeys([workspace.model, *catalogue_names(), *workspace.prices])

    def spec(self, model: str | None) -> ModelSpec | None:
        return self._workspace().cached_spec(model)

    def experiments(self) -> Iterable[str]:
        workspace = self._workspace()
        return workspace.log.experiments() if workspace.home.is_dir() else ()

    def variables(self) -> Iterable[str]:
        return [name for name, value in self._own() if not callable(value)]

    def fillers(self) -> Iterable[str]:
        """The variables that may fill a slot: text, numbers, and one-dimensional collections of them."""
        return [name for name, value in self._own() if _fills(value)]

    def _own(self) -> list[tuple[str, Any]]:
        kept = ("In", "Out", "exit", "quit", "open", "get_ipython")
        named = [(name, value) for name, value in list(self._namespace.items()) if isinstance(name, str)]
        return [
            (name, value)
            for name, value in named
            if not name.startswith("_") and name not in kept and type(value).__name__ != "module"
        ]


def answer(context: CompletionContext, sources: Sources) -> dict[str, Any]:
    """The matcher's answer, in the form that IPython wants it; an empty one outside of the magics."""
    try:
        offer = offered(context.full_text, context.cursor_line, context.cursor_position, sources)
    except Exception:  # noqa: BLE001 - a mistake here must never get between the user and the cell
        offer = None
    if offer is None:
        return {"completions": []}
    return {
        "completions": [SimpleCompletion(text, type="param") for text in offer.texts],
        "matched_fragment": offer.fragment,
        "suppress": True,
        "ordered": True,
    }


def offered(full_text: str, line: int, column: int, sources: Sources) -> Offer | None:
    """What to offer at a position of a cell; None where it is not ours to say.

    In a magic something is offered always: IPython takes an empty answer for a sign to ask its other matchers, which
    know Python's names. Where there is nothing to say it is the word that stands there already.
    """
    where = here(full_text, line, column)
    if where is None:
        return None
    try:
        offer = _offer(where, sources)
    except Exception:  # noqa: BLE001 - settings that cannot be used are said by the cell, and not by Tab
        offer = None
    return offer if offer is not None and offer.texts else _as_it_stands(where)


def _offer(where: Here, sources: Sources) -> Offer | None:
    if where.magic == "imagen_login":
        return _from(where.text.lstrip(), KNOWN_PROVIDERS)
    if where.is_body:
        return _slots(where, cursor_place(f"{where.head} ", TABLE).given, sources)
    at = cursor_place(where.text, LOG_TABLE if where.magic == "imagen_log" else TABLE)
    if at.kind == "option":
        return _options(at, LOG_TABLE if where.magic == "imagen_log" else TABLE)
    if at.kind == "prompt":
        return _slots(where, at.given, sources) if where.magic == "imagen" else None
    return _values(at, where, sources)


def _as_it_stands(where: Here) -> Offer:
    """The unfinished word; behind a space nothing, so that accepting it changes nothing in any front end."""
    found = _LAST_WORD.search(where.text)
    fragment = found[0] if found else ""
    return Offer(fragment, (fragment,))


def here(full_text: str, line: int, column: int) -> Here | None:
    """Which magic the cursor is in, if any: a cell magic from its first line on, a line magic in its own line."""
    lines = full_text.split("\n")
    current = lines[line]
    first = next((number for number, text in enumerate(lines) if text.strip()), 0)
    if found := _CELL.match(lines[first]):
        body = "\n".join(lines[first + 1 :])
        if line <= first:
            is_behind = line == first and column > found.end()
            return Here("imagen", current[found.end() : column], body) if is_behind else None
        before = "\n".join([*lines[first + 1 : line], current[:column]])
        return Here("imagen", before, body[len(before) :], lines[first][found.end() :], is_body=True)
    magic = _LINE.match(current)
    if magic is None or column < magic.end():
        return None
    return Here(magic[1], current[magic.end() : column], current[column:])


def _options(at: CursorPlace, table: Iterable[Option]) -> Offer:
    """The options that may still be given; short forms only where a single dash is typed."""
    open_to = [option for option in table if option.is_repeatable or option.name not in at.given]
    longs = [option.long for option in open_to]
    shorts = [f"-{option.short}" for option in open_to if option.short]
    return _from(at.fragment, [*longs, *shorts] if at.fragment == "-" else longs)


def _values(at: CursorPlace, where: Here, sources: Sources) -> Offer | None:
    """The values of the option that the cursor is in."""
    option = at.option
    kind = option.completes if option else ""
    model = next(iter(at.given.get("model", ())), None)
    if kind == "model":
        return _models(_last(at.fragment, ","), sources.models())
    if kind in ("param", "vary"):
        return _named(at, where, sources, kind)
    if kind in ("experiment", "variable", "status"):
        return _from(at.fragment, _names(kind, sources))
    if option and option.name in _USUAL:
        return _from(at.fragment, _USUAL[option.name])
    spec = sources.spec(model) if kind else None
    return _from(_last(at.fragment, ","), _choices(spec.param(kind))) if spec else None


def _names(kind: str, sources: Sources) -> Iterable[str]:
    if kind == "status":
        return map(str, Status)
    return sources.experiments() if kind == "experiment" else sources.variables()


def _named(at: CursorPlace, where: Here, sources: Sources, kind: str) -> Offer | None:
    """The name, and behind `=` the value, of a parameter or a slot."""
    spec = sources.spec(next(iter(at.given.get("model", ())), None))
    params = dict(spec.params) if spec else {}
    fragment = at.fragment.lstrip("\"'")
    name, sign, value = fragment.partition("=")
    if sign:
        fragment = _last(value.lstrip("\"'"), "|") if kind == "vary" else value.lstrip("\"'")
        return _from(fragment, _choices(params.get(name)))
    taken = {given for given, _ in at.given.get("param", ()) + at.given.get("vary", ())}
    slots = [slot.name for slot in parse_template(where.follows).slots] if kind == "vary" else []
    names = [each for each in (*slots, *params) if each != "prompt" and each not in taken]
    return _from(name, [f"{each}=" for each in names])


def _slots(where: Here, given: Mapping[str, Any], sources: Sources) -> Offer | None:
    """The names for a slot whose brace is open: --vary names, the prompt's own, and variables that can fill it."""
    found = _OPEN_SLOT.search(where.text)
    if found is None:
        return None
    prompt = cell_prompt(f"{where.text[: found.start()]} {where.follows.lstrip('}')}")
    in_prompt = [slot.name for slot in parse_template(prompt).slots if not slot.name.startswith("slot_")]
    varied = [name for name, _ in given.get("vary", ())]
    return _from(found[1], dict.fromkeys([*varied, *in_prompt, *sources.fillers()]))


def _models(fragment: str, names: Iterable[str]) -> Offer:
    """Models by the beginning of their name, or of the part behind the owner, or else by any part."""
    known = list(names)
    typed = fragment.casefold()
    begun = [name for name in known if any(part.startswith(typed) for part in (name, name.partition("/")[2]))]
    return Offer(fragment, tuple(begun or [name for name in known if typed in name.casefold()]))


def _choices(param: ParamSpec | None) -> list[str]:
    """The values one may choose a parameter's from, the default first; none where any text will do."""
    if param is None:
        return []
    values = param.enum or ((False, True) if param.type == "boolean" else ())
    if not values and param.default is not None and param.type in ("integer", "number"):
        values = (param.default,)
    return sorted(map(_text, values), key=lambda text: text != _text(param.default))


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _from(fragment: str, texts: Iterable[str]) -> Offer:
    return Offer(fragment, tuple(text for text in texts if text.startswith(fragment)))


def _last(text: str, mark: str) -> str:
    return text.rpartition(mark)[2].lstrip()


def _fills(value: Any) -> bool:
    if isinstance(value, bool):
        return False
    return isinstance(value, str | int | float | list | tuple | range) or getattr(value, "ndim", 0) == 1
