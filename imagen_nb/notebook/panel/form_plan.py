"""What the panel's form says: as a plan, or as messages, each for the control that it is about.

Its boxes for what varies and for other inputs are read as `--vary` and `-p` are, with a semicolon between several.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from imagen_nb.errors import ImagenError, InputError
from imagen_nb.planning.cells import assignment
from imagen_nb.planning.grammar import split_parts
from imagen_nb.planning.options import TABLE, Options
from imagen_nb.planning.plan import Plan
from imagen_nb.planning.template import escape, parse
from imagen_nb.planning.values import split_bars
from imagen_nb.records import Request
from imagen_nb.views.words import count, dollars

if TYPE_CHECKING:
    from imagen_nb.workspace import Workspace

_OPTIONS = {option.name: option for option in TABLE}
_FORMS = {"vary": "name=first|second", "param": "name=value"}


@dataclass(frozen=True, slots=True)
class FormValues:
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
            varied = dict(_read_pairs("vary", self.vary)).get("model")
        except InputError:
            varied = None
        return (self.model,) if varied is None else tuple(each.strip() for each in split_bars(varied))


@dataclass(frozen=True, slots=True)
class FormPlan:
    """What Generate would do: a plan, or `problems` by the control that causes each.

    `needs_yes` is True for a plan that is larger than may be sent without being confirmed; `price` is what it is
    estimated at, in words.
    """

    plan: Plan | None = None
    problems: Mapping[str, str] = field(default_factory=dict)
    needs_yes: bool = False
    price: str = ""

    @property
    def is_ready(self) -> bool:
        return self.plan is not None and not self.problems

    @property
    def consent(self) -> tuple[int, float | None] | None:
        """What a press of the button agrees to: how many requests, and their estimate in US dollars; None for none."""
        return None if self.plan is None else (len(self.plan), self.plan.cost)

    @property
    def label(self) -> str:
        """What the button says: `Generate 8, about $0.32`."""
        if self.plan is None:
            return "Generate"
        many = f" {len(self.plan):,}" if len(self.plan) > 1 else ""
        return f"Generate{many}, {self.price}" if self.price else f"Generate{many}"

    @property
    def change_notice(self) -> str:
        """Why a press sent nothing, where the plan is no longer the one that the button named."""
        if self.plan is None:
            return "Nothing was sent: what the prompt names has changed."
        cost = f", {self.price}" if self.price else ""
        many = count(len(self.plan), "request")
        following = " Generate sends that." if self.is_ready else ""
        return f"Nothing was sent: what the prompt names has changed, and it is now {many}{cost}.{following}"


def plan_form(
    values: FormValues,
    workspace: Workspace,
    *,
    namespace: Mapping[str, Any] | None = None,
    confirm_above: int | None = None,
) -> FormPlan:
    """The plan of these values, or why there is none; what its models take is known already."""
    if not values.prompt.strip():
        return FormPlan(problems={"prompt": "Write what the image should show."})
    problems: dict[str, str] = {}
    models, prompt = values.models, values.prompt
    axes: list[tuple[str, str]] = []
    others: list[tuple[str, str]] = []
    with _say_beside("others", problems):
        others = _read_pairs("param", values.others)
        Options(model=models, param=tuple(others)).plan_keywords(prompt, workspace.spec)
    with _say_beside("vary", problems):
        axes = [(name, text) for name, text in _read_pairs("vary", values.vary) if name != "model"]
        Options(model=models, vary=tuple(axes)).plan_keywords(prompt, workspace.spec)
    if problems:
        return FormPlan(problems=problems)

    plan: Plan | None = None
    with _say_beside("vary" if axes else "prompt", problems):
        options = Options(model=models, param=tuple(others), vary=tuple(axes), repeat=values.repeat)
        keywords = options.plan_keywords(prompt, workspace.spec)
        varied = {name for name, _ in axes}
        fixed = {name: value for name, value in values.params.items() if name not in varied}
        keywords["params"] = {**fixed, **keywords["params"]}
        plan = workspace.plan([prompt], **keywords, namespace=namespace)
    if plan is None:
        return FormPlan(problems=problems)
    needs_yes = confirm_above is not None and len(plan) > confirm_above
    if needs_yes and not values.is_confirmed:
        problems["confirm"] = f"More than {count(confirm_above or 0, 'request')} at once: tick the box to send them."
    return FormPlan(plan, problems, needs_yes, price_words(plan.cost, workspace))


def price_words(cost: float | None, workspace: Workspace) -> str:
    """What an estimate in US dollars is for reading: nobody pays the simulator; "" where it is not known."""
    if workspace.settings.provider.is_simulator:
        return "simulated"
    return "" if cost is None else f"about {dollars(cost)}"


def other_inputs_text(params: Mapping[str, Any]) -> str:
    """Inputs as the box for other ones holds them, to be read again as just these values."""
    return "; ".join(assignment(name, value) for name, value in params.items())


def prompt_text(request: Request) -> str:
    """What to write into the form so that it asks for the same prompt again: braces that would be slots are doubled."""
    template = parse(request.template)
    if not template.slots and template.render({}) == request.prompt:
        return request.template
    return escape(request.prompt)


def variable_marks(prompt: str, namespace: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
    """The variables that a prompt names, each with what changes when it is assigned anew or a list of it grows."""
    try:
        names = [slot.name for slot in parse(prompt).slots]
    except ImagenError:
        return {}
    values = {name: namespace[name] for name in names if name in namespace}
    return {name: (id(value), len(value) if isinstance(value, list) else 0) for name, value in values.items()}


@contextmanager
def _say_beside(control: str, problems: dict[str, str]) -> Iterator[None]:
    """Let an error be the problem of that control; one of the slots is one of the prompt, whatever else was given."""
    try:
        yield
    except ImagenError as error:
        problems["prompt" if " slot " in f" {error.message} " else control] = str(error)


def _read_pairs(option: str, text: str) -> list[tuple[str, str]]:
    """Names and texts, each part read as the magic's option reads it."""
    try:
        return [_OPTIONS[option].read(part) for part in split_parts(text, _OPTIONS[option].has_bars)]
    except InputError:
        raise
    except ValueError as error:
        raise InputError(str(error), f"Write {_FORMS[option]}, several of them with ; between.") from None
