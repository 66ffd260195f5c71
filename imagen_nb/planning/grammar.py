"""How options are read off a line: words, quotes, and where the options end and the prompt begins.

Options come first. They end at the first word that is not one, or behind `--`; what follows is kept exactly as typed,
which is why no shell-like parser is used: those eat quotes, double spaces and apostrophes.

    -m NAME   -mNAME   --model NAME   --model=NAME      all the same; a name is never abbreviated
    "two words"   'two words'                           a value with spaces; double quotes read as JSON strings do

A quote counts at the beginning of a word and behind `=`, `,` and `|`; anywhere else it is a letter like any other. A
JSON list or object at the beginning or behind `=` is one value with its quotes and spaces: `-p images=["a", "b"]`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from imagen_nb.errors import InputError, closest, comma_list

_OPTION = re.compile(r"--?[^\s=]*")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"|\'[^\']*\'', re.DOTALL)
_QUOTE_FOLLOWS = "=,|"
_DECODER = json.JSONDecoder()


@dataclass(frozen=True, slots=True)
class Option:
    """One option: `name` is the long form with underscores, `short` one letter or "", `metavar` None for a switch.

    `read` turns the text of a value into the value and raises `ValueError` with the reason. `completes` says what
    Tab offers for a value: a parameter's name, or one of `model`, `param`, `vary`, `experiment`, `variable`, `status`.
    """

    name: str
    short: str
    metavar: str | None
    help: str
    read: Callable[[str], Any] = str
    is_repeatable: bool = False
    completes: str = ""

    @property
    def long(self) -> str:
        return "--" + self.name.replace("_", "-")

    @property
    def forms(self) -> tuple[str, ...]:
        """As one types it: `("-m", "--model")`."""
        return (f"-{self.short}", self.long) if self.short else (self.long,)

    def __str__(self) -> str:
        return ", ".join(self.forms)


class Words(Protocol):
    """Where options are read from: a line of text, or the words of a command line."""

    def peek(self) -> str | None:
        """The next word as it was typed, quotes included; None at the end."""

    def take(self) -> str:
        """The next word, without its quotes."""

    def rest(self) -> str:
        """Everything not taken yet."""

    def split(self, form: str) -> None:
        """Take the option's own characters only: what stands behind them in the same word is its value."""


class Line:
    """The words of one line of text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.at = _past_space(text, 0)

    def peek(self) -> str | None:
        end = self.at
        while end < len(self._text) and not self._text[end].isspace():
            end += 1
        return self._text[self.at : end] or None

    def take(self) -> str:
        word, end = _word(self._text, self.at)
        self.at = _past_space(self._text, end)
        return word

    def rest(self) -> str:
        return self._text[self.at :]

    def split(self, form: str) -> None:
        self.at += len(form)


class Arguments:
    """The words of a command line: the shell has dealt with quotes already."""

    def __init__(self, words: Iterable[str]) -> None:
        self._words = list(words)

    def peek(self) -> str | None:
        return self._words[0] if self._words else None

    def take(self) -> str:
        return self._words.pop(0)

    def rest(self) -> str:
        return " ".join(self._words)

    def split(self, form: str) -> None:
        self._words[0] = self._words[0][len(form) :]


@dataclass(frozen=True, slots=True)
class Parsed:
    """The values of the options that were given, by name, and the text behind them."""

    values: Mapping[str, Any]
    rest: str


def parse(words: Words, table: Sequence[Option]) -> Parsed:
    """Read the options off the front of `words`. Raises `InputError` for an unknown option and an unusable value."""
    values: dict[str, Any] = {}
    while (typed := words.peek()) is not None and _looks_like_option(typed):
        if typed == "--":
            words.take()
            break
        form = _form(typed, table)
        option = _find(form, table)
        value = _value(option, form, words, table)
        if option.is_repeatable:
            values[option.name] = (*values.get(option.name, ()), value)
        elif option.name in values:
            raise InputError(f"{option} is given twice", _twice(option))
        else:
            values[option.name] = value
    return Parsed(values, words.rest())


@dataclass(frozen=True, slots=True)
class Place:
    """What stands at the end of an unfinished line: `kind` is "option", "value" or "prompt".

    `fragment` is the unfinished text there, `option` the one whose value it is, `given` the values before it.
    """

    kind: str
    fragment: str = ""
    option: Option | None = None
    given: Mapping[str, Any] = field(default_factory=dict)


def place(line: str, table: Sequence[Option]) -> Place:
    """Where one is at the end of `line`, for completion. A line that makes no sense is a prompt."""
    head, last = _unfinished(line)
    given: dict[str, Any] = {}
    words = Line(head)
    while (typed := words.peek()) is not None:
        if typed == "--" or not _looks_like_option(typed):
            return Place("prompt", last, given=given)
        form = _form(typed, table)
        option = _known(form, table)
        if option is None:
            return Place("prompt", last, given=given)
        if option.metavar is not None and typed == form and head[words.at :].strip() == form:
            return Place("value", last, option, given)
        value = _value(option, form, words, table)
        given[option.name] = (*given.get(option.name, ()), value) if option.is_repeatable else value
    return _last_place(last, table, given)


def _last_place(last: str, table: Sequence[Option], given: Mapping[str, Any]) -> Place:
    """The place within the unfinished word itself: `--model=goo`, `-mgoo`, `--mo`, or a prompt's first letters."""
    if not last:
        return Place("option", "", given=given)
    if not _looks_like_option(last) and last != "-":
        return Place("prompt", last, given=given)
    form = _form(last, table)
    option = _known(form, table)
    if option is not None and option.metavar is not None and last != form:
        return Place("value", last[len(form) :].removeprefix("="), option, given)
    return Place("option", last, given=given)


def _unfinished(line: str) -> tuple[str, str]:
    """The line in two: its finished words, and the word it ends in (which may be an open quote with spaces)."""
    at = _past_space(line, 0)
    start = at
    while at < len(line):
        start = at
        try:
            _, end = _word(line, at)
        except InputError:
            return line[:start], line[start:]
        if end >= len(line):
            return line[:start], line[start:]
        at = _past_space(line, end)
        start = at
    return line[:start], ""


def _past_space(text: str, at: int) -> int:
    while at < len(text) and text[at].isspace():
        at += 1
    return at


def _word(text: str, at: int) -> tuple[str, int]:
    """The word that begins at `at`, without its quotes, and where it ends."""
    parts: list[str] = []
    start = at
    may_quote = True
    while at < len(text) and not text[at].isspace():
        if (at == start or text[at - 1] == "=") and (end := _json_end(text, at)):
            return "".join([*parts, text[at:end]]), end
        if may_quote and text[at] in "\"'":
            quoted = _QUOTED.match(text, at)
            if quoted is None:
                raise InputError(f"the quote in {text[at : at + 24]!r} is not closed", "Close it, or leave it out.")
            parts.append(_unquoted(quoted[0]))
            at = quoted.end()
            may_quote = False
        else:
            parts.append(text[at])
            may_quote = text[at] in _QUOTE_FOLLOWS
            at += 1
    return "".join(parts), at


def _json_end(text: str, at: int) -> int | None:
    """Where the JSON list or object that begins here ends, if with the word; None where there is none."""
    if text[at] not in "[{":
        return None
    try:
        end = _DECODER.raw_decode(text, at)[1]
    except (ValueError, RecursionError):
        return None
    return end if end == len(text) or text[end].isspace() else None


def _unquoted(quoted: str) -> str:
    """What stands between the quotes, read as a JSON string where it is one."""
    if quoted[0] == '"':
        try:
            return str(json.loads(quoted, strict=False))
        except ValueError:
            pass
    return quoted[1:-1]


def _looks_like_option(word: str) -> bool:
    return len(word) > 1 and word[0] == "-"


def _form(word: str, table: Sequence[Option]) -> str:
    """The option's own part of a word: `--model` of `--model=x`, `-a` of `-a16:9`; else what was typed up to `=`.

    `-model` is taken for a mistyped `--model`, not for `-m odel`.
    """
    whole = found[0] if (found := _OPTION.match(word)) else word
    if whole.startswith("--") or any(option.long == f"-{whole}" for option in table):
        return whole
    return whole[:2] if _known(whole[:2], table) else whole


def _known(form: str, table: Sequence[Option]) -> Option | None:
    return next((option for option in table if form in option.forms), None)


def _find(form: str, table: Sequence[Option]) -> Option:
    option = _known(form, table)
    if option is not None:
        return option
    forms = [each for option in table for each in option.forms]
    guess = _likely(form, [option.long for option in table])
    hint = f"Did you mean {guess}? " if guess else f"Options are {comma_list(forms, shown=len(forms))}. "
    raise InputError(f"unknown option {form}", f"{hint}A prompt that begins with a dash goes behind -- and a space.")


def _likely(form: str, longs: Sequence[str]) -> str | None:
    """The long option that was probably meant: one that begins so, else one that looks alike."""
    typed = form.lstrip("-").replace("_", "-")
    if len(typed) < 2:  # noqa: PLR2004 - one letter looks like everything
        return None
    names = [long.removeprefix("--") for long in longs]
    guess = next((name for name in names if name.startswith(typed)), None) or closest(typed, names)
    return f"--{guess}" if guess else None


def _value(option: Option, form: str, words: Words, table: Sequence[Option]) -> Any:
    """Take the option and its value, from the same word or the next one."""
    typed = words.peek() or ""
    if option.metavar is None:
        if typed != form:
            raise InputError(f"{form} takes no value, and {typed} gives it one", f"Write {form} alone.")
        words.take()
        return True
    if typed == form:
        words.take()
        following = words.peek()
        is_missing = following is None or following == "--" or _known(_form(following, table), table) is not None
    else:
        words.split(form)
        if typed[len(form)] == "=":
            words.split("=")
        is_missing = typed == f"{form}="
    if is_missing:
        raise InputError(f"{option} needs a value: {option.metavar}", f"It is for this: {option.help}.")
    return _read(option, words.take())


def _read(option: Option, text: str) -> Any:
    try:
        return option.read(text)
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{option}: {error}", f"It is written {option.forms[-1]} {option.metavar}.") from None


def _twice(option: Option) -> str:
    if option.metavar and "," in option.metavar:
        return "Several values go into one option, with commas between them."
    return "Give it once."
