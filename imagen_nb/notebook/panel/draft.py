"""What the panel's form says: as a plan, or as messages, each for the control that it is about."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from imagen_nb.errors import ImagenError, InputError
from imagen_nb.planning.models import ModelSpec
from imagen_nb.planning.options import TABLE, Options
from imagen_nb.planning.plan import Plan
from imagen_nb.planning.template import escape, parse
from imagen_nb.planning.values import spells_json
from imagen_nb.records import Request
from imagen_nb.views.words import count, dollars

if TYPE_CHECKING:
    from imagen_nb.workspace import Workspace

_MARK = re.compile(r"[;\r\n]")
_VALUE_BEGINS = re.compile(r"[^=;\r\n]*=[ \t]*(?=[\"\[{])")
_PART_ENDS = re.compile(r"[ \t]*(?=[;\r\n]|$)")
_VARY, _SETTING = (next(option for option in TABLE if option.name == name) for name in ("vary", "param"))


@dataclass(frozen=True, slots=True)
class Entries:
    """What stands in the form. `params` are the inputs given, by name; `others` and `vary` are text as typed."""

    prompt: str
    model: str
    params: Mapping[str, Any] = field(default_factory=dict)
    vary: str = ""
    others: str = ""
    repeat: int = 1
    is_confirmed: bool = False

    @property
    def models(self) -> tuple[str, ...]:
        """The models asked for: those that `vary` names, else the one chosen."""
        try:
            varied = [values for name, values in _axes(self.vary) if name == "model"]
        except InputError:
            varied = []
        return tuple(each.strip() for each in varied[0].split("|")) if varied else (self.model,)


@dataclass(frozen=True, slots=True)
class Draft:
    """What Generate would do: a plan, or `problems` by the control that causes each.

    `needs_yes` is True for a plan that is larger than may be sent without being confirmed.
    """

    plan: Plan | None = None
    problems: Mapping[str, str] = field(default_factory=dict)
    needs_yes: bool = False

    @property
    def is_ready(self) -> bool:
        return self.plan is not None and not self.problems

    @property
    def offer(self) -> tuple[int, float | None] | None:
        """What a press of the button agrees to: how many requests, and their estimate in US dollars; None for none."""
        return None if self.plan is None else (len(self.plan), self.plan.cost)

    @property
    def label(self) -> str:
        """What the button says: `Generate 8, about $0.32`."""
        if self.plan is None:
            return "Generate"
        many = f" {len(self.plan):,}" if len(self.plan) > 1 else ""
        cost = dollars(self.plan.cost)
        return f"Generate{many}, about {cost}" if cost else f"Generate{many}"


def draft(
    entries: Entries,
    workspace: Workspace,
    *,
    namespace: Mapping[str, Any] | None = None,
    confirm_above: int | None = None,
) -> Draft:
    """The plan of these entries, or why there is none; what its models take is known already."""
    if not entries.prompt.strip():
        return Draft(problems={"prompt": "Write what the image should show."})
    problems: dict[str, str] = {}
    spec = workspace.spec(entries.models[0])
    vary = _said(problems, "vary", lambda: _varied(entries, spec)) or ()
    others = _said(problems, "others", lambda: _others(entries, spec)) or ()
    if problems:
        return Draft(problems=problems)
    options = Options(model=entries.models, vary=vary, param=others, repeat=entries.repeat)
    return _planned(entries, options, workspace, namespace, confirm_above)


def settings_text(values: Mapping[str, Any]) -> str:
    """Inputs as `NAME=VALUE; NAME=VALUE`, to be read again as just these values."""
    return "; ".join(f"{name}={_written(value)}" for name, value in values.items())


def text_of(request: Request) -> str:
    """What to write into the form so that it asks for the same prompt again: braces that would be slots are doubled."""
    template = parse(request.template)
    if not template.slots and template.render({}) == request.prompt:
        return request.template
    return escape(request.prompt)


def variables_of(prompt: str, namespace: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
    """The variables that a prompt names, each with what changes when it is assigned anew or a list of it grows."""
    try:
        names = [slot.name for slot in parse(prompt).slots]
    except ImagenError:
        return {}
    values = {name: namespace[name] for name in names if name in namespace}
    return {name: (id(value), len(value) if isinstance(value, list) else 0) for name, value in values.items()}


def _planned(
    entries: Entries,
    options: Options,
    workspace: Workspace,
    namespace: Mapping[str, Any] | None,
    confirm_above: int | None,
) -> Draft:
    problems: dict[str, str] = {}
    varied = {name for name, _ in options.vary}

    def made() -> Plan:
        keywords = options.plan_keywords(entries.prompt, workspace.spec)
        fixed = {name: value for name, value in entries.params.items() if name not in varied}
        keywords["params"] = {**fixed, **keywords["params"]}
        return workspace.plan(entries.prompt, **keywords, namespace=namespace)

    plan = _said(problems, "vary" if varied else "prompt", made)
    if plan is None:
        return Draft(problems=problems)
    needs_yes = confirm_above is not None and len(plan) > confirm_above
    if needs_yes and not entries.is_confirmed:
        problems["confirm"] = f"More than {count(confirm_above or 0, 'request')} at once: tick the box to send them."
    return Draft(plan, problems, needs_yes)


def _said(problems: dict[str, str], place: str, ask: Callable[[], Any]) -> Any:
    """What `ask` gives; an error becomes the problem of that place, and then there is nothing."""
    try:
        return ask()
    except ImagenError as error:
        problems[_place(error, place)] = str(error)
        return None


def _place(error: ImagenError, place: str) -> str:
    """A mistake in the slots is one of the prompt, whatever else was given."""
    return "prompt" if place == "vary" and " slot " in f" {error.message} " else place


def _axes(text: str) -> tuple[tuple[str, str], ...]:
    """`NAME=V1|V2; NAME=…` as the magic's `--vary` reads each."""
    return tuple(_read(_VARY.read, part) for part in _parts(text))


def _varied(entries: Entries, spec: ModelSpec) -> tuple[tuple[str, str], ...]:
    """The axes but for the model. Raises `InputError` for a name that is neither a slot nor an input of the model."""
    axes = tuple((name, values) for name, values in _axes(entries.vary) if name != "model")
    for name, _ in axes:
        if "{" + name not in entries.prompt.replace(" ", ""):
            spec.expect_param(name)
    return axes


def _others(entries: Entries, spec: ModelSpec) -> tuple[tuple[str, str], ...]:
    """`NAME=VALUE; NAME=VALUE`. Raises `InputError` for what the model has not, or does not allow."""
    read = [_read(_SETTING.read, part) for part in _parts(entries.others)]
    settings = tuple((name, _bare(text)) for name, text in read)
    for name, text in settings:
        spec.expect_param(name).parse(text)
    return settings


def _parts(text: str) -> list[str]:
    """What stands between semicolons and line breaks, but for those within a JSON value."""
    parts, place = [], 0
    while place < len(text):
        end = _part_end(text, place)
        parts.append(text[place:end].strip())
        place = end + 1
    return [part for part in parts if part]


def _part_end(text: str, place: int) -> int:
    """Where the part that begins at `place` ends."""
    if found := _VALUE_BEGINS.match(text, place):
        try:
            _, end = json.JSONDecoder().raw_decode(text, found.end())
        except (ValueError, RecursionError):
            end = place
        if end > place and (ended := _PART_ENDS.match(text, end)):
            return ended.end()
    found = _MARK.search(text, place)
    return found.start() if found else len(text)


def _written(value: Any) -> str:
    """A value as it is typed: text as it stands where that is read as the same text, all else as JSON."""
    if isinstance(value, str) and not spells_json(value) and not _needs_quotes(value):
        return value
    return json.dumps(value, ensure_ascii=False)


def _bare(text: str) -> str:
    """The text within a JSON string that had to be one; what spells JSON itself is for the parameter to read."""
    inner = json.loads(text) if text.lstrip().startswith('"') and spells_json(text) else None
    return inner if inner is not None and not spells_json(inner) and _needs_quotes(inner) else text


def _needs_quotes(text: str) -> bool:
    """Whether a text that is no JSON would be read as another one without quotes around it."""
    return text != text.strip() or bool(_MARK.search(text)) or text.startswith(('"', "[", "{"))


def _read(reader: Callable[[str], Any], text: str) -> Any:
    try:
        return reader(text)
    except ValueError as error:
        raise InputError(str(error), "Write name=first|second, several of them with ; between.") from None
