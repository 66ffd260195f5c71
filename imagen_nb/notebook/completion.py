"""What Tab offers in `%imagen`: options, their values, and the names that may stand in a slot; in Python, inputs.

A matcher of IPython's second kind, because it alone can complete past the `:` of `16:9` and keep Python names out of an
option's value. It asks nobody: models come from the catalogue and from what the workspace has met, experiments from a
log that is there already. Whatever goes wrong in it, Tab offers nothing new and nothing is shown.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from IPython.core.completer import SimpleCompletion

from imagen_nb.planning.grammar import CursorPlace, cursor_place
from imagen_nb.planning.inputs import ParamSpec
from imagen_nb.planning.models import ModelSpec
from imagen_nb.planning.options import LOG_TABLE, TABLE, cell_prompt
from imagen_nb.planning.template import parse as parse_template
from imagen_nb.records import STATUS_WORDS
from imagen_nb.settings import JOBS, KNOWN_PROVIDERS, TIMEOUT_S

if TYPE_CHECKING:
    from IPython.core.completer import CompletionContext

    from imagen_nb.workspace import Workspace

_CELL = re.compile(r"\s*%%imagen(?=\s|$)")
_LINE = re.compile(r"\s*(?:[^\W\d][\w.,\s\[\]'\"]*=\s*)?%(imagen|imagen_log|imagen_login)\s")
_CALL = re.compile(r"\b(\w+)\.(?:generate|plan|run)\(([^()]*,\s*)([^\W\d]\w*)$")
_ACCESSOR = re.compile(r"(?:^|[^\w.])([^\W\d]\w*)\.imagen\.(\w*)$")
_MODEL = re.compile(r"\bmodel\s*=\s*[\"']([^\"']+)")
_OPEN_SLOT = re.compile(r"(?<!\{)\{(\w*)$")
# What most would want for an option whose value may be any number.
_USUAL = {"timeout": (f"{TIMEOUT_S:g}",), "jobs": (str(JOBS),)}


@dataclass(frozen=True, slots=True)
class MagicAtCursor:
    """The magic that the cursor is in: its `text` before the cursor, and what `follows`.

    `is_body` is True below the first line of a cell, whose options are in `head` then.
    """

    magic: str
    text: str
    follows: str = ""
    head: str = ""
    is_body: bool = False


@dataclass(frozen=True, slots=True)
class Suggestions:
    """What to offer in place of `fragment`, the text just before the cursor."""

    fragment: str
    texts: tuple[str, ...]


class _Nothing(list[SimpleCompletion]):
    """An answer without completions: IPython takes an empty one for a sign to ask its other matchers all the same."""

    def __len__(self) -> int:
        return 1


class NameSources:
    """Where names come from: the notebook's variables, and the workspace as it is configured now."""

    def __init__(self, workspace: Callable[[], Workspace], namespace: Mapping[str, Any]) -> None:
        self._workspace = workspace
        self._namespace = namespace

    def has_verbs(self, name: str) -> bool:
        """Whether this variable is the package or a workspace."""
        value = self._namespace.get(name)
        return getattr(value, "__name__", type(value).__module__).partition(".")[0] == "imagen_nb"

    def views(self, name: str) -> Iterable[str]:
        """What `.imagen` of this variable has, if it is a frame."""
        value: Any = self._namespace.get(name)
        return [each for each in dir(value.imagen) if each[0] != "_"] if type(value).__name__ == "DataFrame" else []

    def models(self) -> Iterable[str]:
        return self._workspace().model_names

    def spec(self, model: str | None) -> ModelSpec | None:
        return self._workspace().peek_spec(model)

    def experiments(self) -> Iterable[str]:
        workspace = self._workspace()
        return workspace.log.experiments() if workspace.home.is_dir() else ()

    def variables(self) -> Iterable[str]:
        return [name for name, value in self._own_variables() if not callable(value)]

    def slot_variables(self) -> Iterable[str]:
        """The variables that may fill a slot: text, numbers, and one-dimensional collections of them."""

        def may_fill(value: Any) -> bool:
            is_plain = isinstance(value, str | int | float | list | tuple | range) and not isinstance(value, bool)
            return is_plain or getattr(value, "ndim", 0) == 1

        return [name for name, value in self._own_variables() if may_fill(value)]

    def _own_variables(self) -> list[tuple[str, Any]]:
        kept = ("In", "Out", "exit", "quit", "open", "get_ipython")
        named = [(name, value) for name, value in list(self._namespace.items()) if isinstance(name, str)]
        return [
            (name, value)
            for name, value in named
            if not name.startswith("_") and name not in kept and type(value).__name__ != "module"
        ]


def complete(context: CompletionContext, sources: NameSources) -> dict[str, Any]:
    """The matcher's answer, in the form that IPython wants it; an empty one where nothing of ours is.

    In a magic IPython's other matchers, which know Python's names, are kept out even where there is nothing to offer;
    and behind a frame's `.imagen.`, where the first of them would read all of pandas for many seconds.
    """
    magic: MagicAtCursor | None = None
    suggestions: Suggestions | None = None
    views: Suggestions | None = None
    with suppress(Exception):  # a mistake here, or in the settings, is the cell's to say and not Tab's
        magic = find_magic(context.full_text, context.cursor_line, context.cursor_position)
        views = None if magic else suggest_views(context, sources)
        suggestions = suggest(magic, sources) if magic else views or suggest_inputs(context, sources)
    offered = [SimpleCompletion(text, type="param") for text in suggestions.texts] if suggestions else []
    if magic is None and views is None:
        return {"completions": offered}
    return {
        "completions": offered or _Nothing(),
        "matched_fragment": suggestions.fragment if suggestions else "",
        "suppress": True,
        "ordered": True,
    }


def find_magic(full_text: str, line: int, column: int) -> MagicAtCursor | None:
    """Which magic the cursor is in, if any: a cell magic from its first line on, a line magic in its own line."""
    lines = full_text.split("\n")
    current = lines[line]
    first = next((number for number, text in enumerate(lines) if text.strip()), 0)
    if found := _CELL.match(lines[first]):
        body = "\n".join(lines[first + 1 :])
        if line <= first:
            is_behind = line == first and column > found.end()
            return MagicAtCursor("imagen", current[found.end() : column], body) if is_behind else None
        before = "\n".join([*lines[first + 1 : line], current[:column]])
        return MagicAtCursor("imagen", before, body[len(before) :], lines[first][found.end() :], is_body=True)
    on_line = _LINE.match(current)
    if on_line is None or column < on_line.end():
        return None
    return MagicAtCursor(on_line[1], current[on_line.end() : column], current[column:])


def suggest_views(context: CompletionContext, sources: NameSources) -> Suggestions | None:
    """What a frame's `.imagen` shows, behind the dot."""
    line = context.full_text.split("\n")[context.cursor_line]
    found = _ACCESSOR.search(line[: context.cursor_position])
    offered = _beginning(found[2], sources.views(found[1])) if found else None
    return offered if offered and offered.texts else None


def suggest_inputs(context: CompletionContext, sources: NameSources) -> Suggestions | None:
    """The inputs of the model as the keywords that they are in `generate`, `plan` and `run`, which do not list them."""
    lines = context.full_text.split("\n")
    before = [*lines[: context.cursor_line], lines[context.cursor_line][: context.cursor_position]]
    call = _CALL.search("\n".join(before))
    if call is None or not sources.has_verbs(call[1]):
        return None
    model = _MODEL.search(call[2])
    spec = sources.spec(model[1] if model else None)
    names = [name for name in spec.params if name != "prompt" and f"{name}=" not in call[2]] if spec else []
    return _beginning(call[3], [f"{name}=" for name in names])


def suggest(magic: MagicAtCursor, sources: NameSources) -> Suggestions | None:
    """What may stand where the cursor is; None where nothing is known."""
    if magic.magic == "imagen_login":
        return _beginning(magic.text.lstrip(), KNOWN_PROVIDERS)
    if magic.is_body:
        return _suggest_slots(magic, cursor_place(f"{magic.head} ", TABLE).given, sources)
    table = LOG_TABLE if magic.magic == "imagen_log" else TABLE
    place = cursor_place(magic.text, table)
    if place.kind == "prompt":
        return _suggest_slots(magic, place.given, sources) if magic.magic == "imagen" else None
    if place.kind == "option":
        may_follow = [option for option in table if option.is_repeatable or option.name not in place.given]
        forms = [option.long for option in may_follow]
        if place.fragment == "-":  # short forms only where a single dash is typed
            forms += [f"-{option.short}" for option in may_follow if option.short]
        return _beginning(place.fragment, forms)
    return _suggest_values(magic, place, sources)


def _suggest_values(magic: MagicAtCursor, place: CursorPlace, sources: NameSources) -> Suggestions | None:
    """The values of the option that the cursor is in."""
    kind = place.option.completes if place.option else ""
    last = place.fragment.rpartition(",")[2].lstrip()
    model = next(iter(place.given.get("model", ())), None)
    if kind == "model":  # by the beginning of its name, or of the part behind the owner, or else by any part
        known, typed = list(sources.models()), last.casefold()
        begun = [name for name in known if any(part.startswith(typed) for part in (name, name.partition("/")[2]))]
        return Suggestions(last, tuple(begun or [name for name in known if typed in name.casefold()]))
    if kind in ("param", "vary"):
        return _suggest_pair(magic, place, sources)
    named = {"status": lambda: STATUS_WORDS, "experiment": sources.experiments, "variable": sources.variables}
    if names := named.get(kind):
        return _beginning(place.fragment, names())
    if place.option and place.option.name in _USUAL:
        return _beginning(place.fragment, _USUAL[place.option.name])
    spec = sources.spec(model) if kind else None
    return _beginning(last, _choices(spec.param(kind))) if spec else None


def _suggest_pair(magic: MagicAtCursor, place: CursorPlace, sources: NameSources) -> Suggestions | None:
    """The name, and behind `=` the value, of a parameter or a slot."""
    is_axis = place.option is not None and place.option.completes == "vary"
    spec = sources.spec(next(iter(place.given.get("model", ())), None))
    params = dict(spec.params) if spec else {}
    name, sign, value = place.fragment.lstrip("\"'").partition("=")
    if sign:
        value = value.lstrip("\"'")
        return _beginning(value.rpartition("|")[2].lstrip() if is_axis else value, _choices(params.get(name)))
    taken = {given for given, _ in place.given.get("param", ()) + place.given.get("vary", ())}
    slots = [slot.name for slot in parse_template(magic.follows).slots] if is_axis else []
    names = [each for each in (*slots, *params) if each != "prompt" and each not in taken]
    return _beginning(name, [f"{each}=" for each in names])


def _suggest_slots(magic: MagicAtCursor, given: Mapping[str, Any], sources: NameSources) -> Suggestions | None:
    """The names for a slot whose brace is open: --vary names, the prompt's own, and variables that can fill it."""
    found = _OPEN_SLOT.search(magic.text)
    if found is None:
        return None
    prompt = cell_prompt(f"{magic.text[: found.start()]} {magic.follows.lstrip('}')}")
    in_prompt = [slot.name for slot in parse_template(prompt).slots if not slot.name.startswith("slot_")]
    varied = [name for name, _ in given.get("vary", ())]
    return _beginning(found[1], dict.fromkeys([*varied, *in_prompt, *sources.slot_variables()]))


def _choices(param: ParamSpec | None) -> list[str]:
    """The values one may choose a parameter's from, the default first; none where any text will do."""
    if param is None:
        return []
    values = param.enum or ((False, True) if param.type == "boolean" else ())
    if not values and param.default is not None and param.type in ("integer", "number"):
        values = (param.default,)

    def as_typed(value: Any) -> str:
        return str(value).lower() if isinstance(value, bool) else str(value)

    return sorted(map(as_typed, values), key=lambda text: text != as_typed(param.default))


def _beginning(fragment: str, texts: Iterable[str]) -> Suggestions:
    """Those of the texts that begin with what is typed."""
    return Suggestions(fragment, tuple(text for text in texts if text.startswith(fragment)))
