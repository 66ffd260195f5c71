"""The options of `%imagen`, which are the options of `imagen-nb run` too: one table that everything else comes from.

The table makes the parser, the manual, what Tab completes and the fields of `Options`; see `grammar` for how a line is
read. What a magic needs only when it runs is imported there, so that loading the extension stays quick.
"""

from __future__ import annotations

import json
import keyword
import re
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from imagen_nb.errors import InputError, brief, comma_list
from imagen_nb.planning import grammar
from imagen_nb.planning.grammar import Option, TypedLine, write_option
from imagen_nb.planning.habits import HABITS, advice
from imagen_nb.planning.template import look_alikes
from imagen_nb.planning.values import json_end
from imagen_nb.settings import JOBS, TIMEOUT_S

if TYPE_CHECKING:
    from imagen_nb.planning.inputs import ParamSpec
    from imagen_nb.planning.models import ModelSpec

MANUAL_WIDTH = 100
_NOTED = 3
_DASHED = re.compile(r"(?<!\S)(-{1,2}|[\u2012-\u2015\u2212]{1,2})([^\W\d][\w-]*)(?:[ \t=]+(\S+))?")
_PLAIN_NAME = re.compile(r"[^\s\"'=,;|]+")
DOCUMENTED = ("aspect_ratio", "output_format", "safety_filter_level")
"""The inputs of a model that have an option of their own; the others go with `--param`."""


def _read_models(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in _read_list(text).split(","))


def _read_list(text: str) -> str:
    """A comma list, still in one piece: what parts it depends on the parameter. `ValueError` for an empty part."""
    if not all(map(str.strip, text.split(","))):
        raise ValueError(f"{text!r} has an empty value in it; a list has commas and no spaces, or stands in quotes")
    return text


def _read_setting(text: str) -> tuple[str, str]:
    """`NAME=VALUE`; a name with a space, a quote or a sign of equality in it stands as a JSON string."""
    end = json_end(text, 0) if text.startswith('"') else None
    if end is not None:
        name, rest = str(json.loads(text[:end])), text[end:]
        sign, value = rest[:1], rest[1:]
    else:
        name, sign, value = text.partition("=")
        name = name.strip()
    if sign != "=" or (end is None and not _PLAIN_NAME.fullmatch(name)):
        raise ValueError(f"{text!r} is not NAME=VALUE")
    if name == "prompt":
        raise ValueError("the prompt is no parameter here; it stands behind the options")
    return name, value


def _read_axis(text: str) -> tuple[str, str]:
    """`NAME=V1|V2`, the values still in one piece."""
    name, values = _read_setting(text)
    if not values.strip("| \t"):
        raise ValueError(f"{name} has no values")
    return name, values


def read_count(text: str) -> int:
    """A whole number from 1. Raises `ValueError` for any other text."""
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"{text!r} is not a whole number from 1")
    return int(text)


def _read_amount(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise ValueError(f"{text!r} is not a number above 0")
    return number


def _read_label(text: str) -> str:
    if not text.strip():
        raise ValueError("the name is empty")
    return text.strip()


def _read_variable(text: str) -> str:
    if not text.isidentifier() or keyword.iskeyword(text):
        message = f"{text!r} cannot be a variable's name"
        raise InputError(f"-o, --output: {message}", HABITS["save"]) if "." in text else ValueError(message)
    return text


def _read_status(text: str) -> str:
    from imagen_nb.records import STATUS_WORDS

    if text not in STATUS_WORDS:
        raise ValueError(f"{text!r} is no status; there are {comma_list(STATUS_WORDS)}")
    return text


TABLE: tuple[Option, ...] = (
    Option("model", "m", "NAME[,NAME...]", "the model; several are an axis", _read_models, completes="model"),
    Option(
        "aspect_ratio",
        "a",
        "V[,V...]",
        "shape of the image; several values are an axis",
        _read_list,
        completes="aspect_ratio",
    ),
    Option(
        "output_format",
        "f",
        "V[,V...]",
        "file format; several values are an axis",
        _read_list,
        completes="output_format",
    ),
    Option(
        "safety_filter_level",
        "s",
        "V[,V...]",
        "how strictly the model filters; several values are an axis",
        _read_list,
        completes="safety_filter_level",
    ),
    Option(
        "param",
        "p",
        "NAME=VALUE",
        "any other input of the model, typed by its schema; repeatable",
        _read_setting,
        is_repeatable=True,
        completes="param",
    ),
    Option(
        "vary",
        "",
        "NAME=V1|V2...",
        "an axis: a slot of the prompt or a parameter; repeatable",
        _read_axis,
        is_repeatable=True,
        completes="vary",
        has_bars=True,
    ),
    Option("repeat", "n", "N", "N predictions of each request", read_count),
    Option("experiment", "e", "NAME", "group the runs in the log under this name", _read_label, completes="experiment"),
    Option("tag", "t", "TAG", "label the runs in the log", _read_label),
    Option("output", "o", "VAR", "also bind the result to the variable VAR", _read_variable, completes="variable"),
    Option("dry_run", "", None, "show the plan, its axes and its estimated cost; send nothing"),
    Option(
        "budget",
        "",
        "USD",
        "reserve each request's estimate before sending; stop before the limit would be passed",
        _read_amount,
    ),
    Option("yes", "", None, "go on with a plan that is larger than confirm_above"),
    Option(
        "resume",
        "",
        None,
        "skip requests of this experiment that already succeeded; pick up those still running",
    ),
    Option("jobs", "j", "N", f"most predictions in flight (default {JOBS})", read_count),
    Option("background", "", None, "return at once; the result fills in; .wait(), .cancel()"),
    Option(
        "timeout",
        "",
        "S",
        f"give up on one prediction after S seconds (default {TIMEOUT_S:g}), cancel it, log it",
        _read_amount,
    ),
    Option("raw", "", None, "the prompt has no slots: send it as it stands"),
    Option("quiet", "q", None, "no live view, no displayed result"),
    Option("help", "h", None, "show this manual"),
)


LOG_TABLE: tuple[Option, ...] = (
    Option("experiment", "e", "NAME", "the runs of this experiment", _read_label, completes="experiment"),
    Option(
        "status",
        "",
        "S",
        "the runs of this status: succeeded, failed, blocked, ...",
        _read_status,
        completes="status",
    ),
    Option("last", "n", "N", "the N newest runs", read_count),
    Option("help", "h", None, "show this manual"),
)


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for on one line; empty and None mean not given. `timeout` is seconds, `budget` US dollars."""

    model: tuple[str, ...] = ()
    aspect_ratio: str | None = None
    output_format: str | None = None
    safety_filter_level: str | None = None
    param: tuple[tuple[str, str], ...] = ()
    vary: tuple[tuple[str, str], ...] = ()
    repeat: int = 1
    experiment: str | None = None
    tag: str | None = None
    output: str | None = None
    dry_run: bool = False
    budget: float | None = None
    yes: bool = False
    resume: bool = False
    jobs: int | None = None
    background: bool = False
    timeout: float = TIMEOUT_S
    raw: bool = False
    quiet: bool = False
    help: bool = False

    def plan_keywords(self, template: str, spec: Callable[[str | None], ModelSpec]) -> dict[str, Any]:
        """The keywords of `Workspace.plan` for this template: what varies, and what each request holds.

        `spec` gives what is known of a model, None being the default one; it decides how a value's text is read. A
        `--vary` name is a slot where the template has it, else a parameter. Raises `InputError` for a name that is
        given twice and a value that the parameter does not allow.
        """
        from imagen_nb.planning.axes import check_name
        from imagen_nb.planning.inputs import split_values
        from imagen_nb.planning.template import literal, parse

        specs = [spec(name) for name in self.model or (None,)]
        parsed = literal(template) if self.raw else parse(template)
        names = {slot.name for slot in parsed.slots}
        slots: dict[str, Any] = {}
        params: dict[str, Any] = {}
        for name in DOCUMENTED:
            if text := getattr(self, name):
                _put(params, name, _one_or_all(split_values(text, _param(name, specs))))
        for name, text in self.param:
            param = _param(name, specs)
            if param is None and (hint := advice(name, text, specs, _write)):
                raise InputError(f"{specs[0].name} has no parameter {name!r}", hint)
            value = param.parse(text) if param else text
            _put(params, name, [value] if isinstance(value, list) else value)  # a list is one value here, and no axis
        for name, text in self.vary:
            is_slot = name in names
            if name == "model" and not is_slot and _param(name, specs) is None:
                raise InputError("--vary cannot vary the model", "-m NAME,NAME does, with commas between the models.")
            check_name(name, text, [parsed], specs, _write)
            values = split_values(text, None if is_slot else _param(name, specs), "|")
            _put(slots if is_slot else params, name, values)
        keywords: dict[str, Any] = {"repeat": self.repeat, "raw": self.raw, "slots": slots, "params": params}
        if self.model:
            keywords["model"] = _one_or_all(self.model)
        return keywords

    def run_keywords(self) -> dict[str, Any]:
        """The keywords of `Workspace.submit`."""
        return {
            "experiment": self.experiment,
            "tag": self.tag,
            "budget": self.budget,
            "resume": self.resume,
            "jobs": self.jobs,
            "timeout": self.timeout,
        }


def parse_line(line: str) -> tuple[Options, str]:
    """The options on a magic's line, and the text behind them exactly as typed. Raises `InputError`."""
    parsed = grammar.parse(TypedLine(line), TABLE)
    return Options(**parsed.values), parsed.rest


def parse_log(line: str) -> dict[str, Any]:
    """The options of `%imagen_log` that were given, by name. Raises `InputError`."""
    parsed = grammar.parse(TypedLine(line), LOG_TABLE)
    if parsed.rest:
        forms = ", ".join(f"{option.long} {option.metavar}" for option in LOG_TABLE if option.metavar)
        raise InputError(f"{brief(parsed.rest)} is not an option of %imagen_log", f"Options are {forms}.")
    return dict(parsed.values)


def cell_prompt(body: str) -> str:
    """The prompt in the body of a cell: verbatim, but for Windows line ends and one line break at either end."""
    return body.replace("\r\n", "\n").replace("\r", "\n").removeprefix("\n").removesuffix("\n")


def prompt_notes(prompt: str, *, is_raw: bool = False) -> list[str]:
    """What looks like a slot or an option in a prompt and is sent as text: a line each, to be shown beside it."""
    notes = []
    if not is_raw and (groups := look_alikes(prompt)):
        verb = "is" if len(groups) == 1 else "are"
        slots = "a slot is a name, {name}, or alternatives, {oil|ink}"
        notes.append(f"{comma_list(groups, shown=_NOTED)} {verb} sent as text: {slots}.")
    for dash, word, value in _DASHED.findall(prompt):
        option = next((each for each in TABLE if word.replace("_", "-") in (each.short, each.long[2:])), None)
        is_count = option is not None and option.metavar == "N" and value.isdecimal()
        if is_count or (dash != "-" and (option or word.replace("-", "_") in HABITS)):
            hint = grammar.habit(word, value, TABLE) or ""
            notes.append(f"{dash}{word} is sent as text: options begin with - and stand before it. {hint}".rstrip())
            break
    return notes


def option_lines(table: Sequence[Option] = TABLE, width: int = MANUAL_WIDTH) -> list[str]:
    """The options and what they mean, in two columns at most `width` characters wide."""
    heads = [f"{option}{' ' + option.metavar if option.metavar else ''}" for option in table]
    column = max(map(len, heads)) + 4
    lines: list[str] = []
    for head, option in zip(heads, table, strict=True):
        first, *others = textwrap.wrap(option.help, width - column)
        lines.append(f"  {head:<{column - 2}}{first}")
        lines += [" " * column + other for other in others]
    return lines


def manual() -> str:
    """What `%imagen?` and `%imagen --help` show."""
    return _MANUAL.format(options="\n".join(option_lines()))


def log_manual() -> str:
    """What `%imagen_log?` and `%imagen_log --help` show."""
    options = "\n".join(option_lines(LOG_TABLE))
    return f"The log as a DataFrame, newest run last.\n\n  %imagen_log [options]\n\nOptions:\n{options}\n"


_MANUAL = """Make images from a prompt; every request, its parameters and its fate go to the log.

  %imagen [options] a prompt on one line
  %%imagen [options]
  a prompt over
  several lines

The prompt is taken exactly as typed. Options end at the first word that is not one, or at --.
A value with spaces stands in quotes: --vary "style=oil paint|ink". The result is a Run, or Runs for several requests.

Options:
{options}

Slots in a prompt:
  {{name}}             a variable of the notebook, or a --vary name; a list is an axis
  {{oil|ink}}          alternatives, an axis; {{style=oil|ink}} names it; \\| is a bar within one
  {{{{ and }}}}          braces as such; --raw takes every brace as such

Examples:
  %imagen -a 16:9 -n 2 a red fox in snow
  %imagen --dry-run --vary "style=oil paint|ink" a {{fox|owl}} in {{style}}
  animals = ["fox", "owl"]
  r = %imagen -e animals a {{animals}} at dawn

%imagen_log gives the log as a DataFrame; %config ImagenMagics shows and sets the defaults.
"""


def _param(name: str, specs: Sequence[ModelSpec]) -> ParamSpec | None:
    """The parameter, from the first model that has it; None for a mistake that the plan will name."""
    return next((param for spec in specs if (param := spec.param(name)) is not None), None)


def _write(name: str, value: object) -> str:
    return write_option(name, str(value), TABLE)


def _one_or_all(values: Sequence[Any]) -> Any:
    return values[0] if len(values) == 1 else list(values)


def _put(values: dict[str, Any], name: str, value: Any) -> None:
    if name in values:
        raise InputError(
            f"{name} is given twice: {brief(values[name])} and {brief(value)}",
            "Give it once; --vary takes several values.",
        )
    values[name] = value
