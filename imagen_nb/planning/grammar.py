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

from imagen_nb.errors import InputError, brief, closest, comma_list
from imagen_nb.planning.habits import HABITS, OPTIONS, advice
from imagen_nb.planning.values import escape_bars, json_end

_OPTION = re.compile(r"--?[^\s=]*")
_SETTING = re.compile(r"([A-Za-z]\w*)=([^\s\"'“]+)")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"|\'[^\']*\'', re.DOTALL)
_QUOTE_FOLLOWS = "=,|"
_SPACE, _NO_SPACE = re.compile(r"\s*"), re.compile(r"\S*")
_WORD_ENDS = re.compile(r"\s|\Z")
_PART_ENDS, _BETWEEN_PARTS = re.compile(r"\s*(?:[;\r\n]|\Z)"), re.compile(r"[\s;]*")


@dataclass(frozen=True, slots=True)
class Option:
    """One option: `name` is the long form with underscores, `short` one letter or "", `metavar` None for a switch.

    `read` turns the text of a value into the value and raises `ValueError` with the reason. `completes` says what
    Tab offers for a value: a parameter's name, or one of `model`, `param`, `vary`, `experiment`, `variable`, `status`.
    Where `has_bars`, bars part the value, but for those in quotes beside one.
    """

    name: str
    short: str
    metavar: str | None
    help: str
    read: Callable[[str], Any] = str
    is_repeatable: bool = False
    completes: str = ""
    has_bars: bool = False

    @property
    def long(self) -> str:
        return "--" + self.name.replace("_", "-")

    @property
    def forms(self) -> tuple[str, ...]:
        """As one types it: `("-m", "--model")`."""
        return (f"-{self.short}", self.long) if self.short else (self.long,)

    def __str__(self) -> str:
        return ", ".join(self.forms)


class WordSource(Protocol):
    """Where options are read from: a line of text, or the words of a command line."""

    def peek(self) -> str | None:
        """The next word as it was typed, quotes included; None at the end."""

    def take(self, has_bars: bool = False) -> str:
        r"""The next word, without its quotes; a bar that was in quotes beside another one is written `\|`."""

    def rest(self) -> str:
        """Everything not taken yet."""

    def split(self, form: str) -> None:
        """Take the option's own characters only: what stands behind them in the same word is its value."""


class TypedLine:
    """The words of one line of text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = _past(_SPACE, text, 0)

    def peek(self) -> str | None:
        return self._text[self._at : _past(_NO_SPACE, self._text, self._at)] or None

    def take(self, has_bars: bool = False) -> str:
        word, end = _word(self._text, self._at, has_bars=has_bars)
        self._at = _past(_SPACE, self._text, end)
        return word

    def rest(self) -> str:
        return self._text[self._at :]

    def split(self, form: str) -> None:
        self._at += len(form)


class ShellWords:
    """The words of a command line: the shell has dealt with quotes already."""

    def __init__(self, words: Iterable[str]) -> None:
        self._words = list(words)

    def peek(self) -> str | None:
        return self._words[0] if self._words else None

    def take(self, has_bars: bool = False) -> str:  # noqa: ARG002 - the shell has taken the quotes
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


def parse(words: WordSource, table: Sequence[Option]) -> Parsed:
    """Read the options off the front of `words`. Raises `InputError` for an unknown option and an unusable value."""
    values: dict[str, Any] = {}
    while (typed := words.peek()) is not None:
        if typed == "--":
            words.take()
            break
        if not _looks_like_option(typed):
            _check_setting(typed, table)
            break
        form = _form(typed, table)
        option = _find_option(form, table)
        if option is None:
            following = words.rest()[len(typed) :].split(maxsplit=1)
            raise _unknown_option(form, typed[len(form) + 1 :] or " ".join(following[:1]), table)
        value = _take_value(words, option, form, table)
        if option.is_repeatable:
            values[option.name] = (*values.get(option.name, ()), value)
        elif option.name in values:
            is_list = option.metavar is not None and "," in option.metavar
            several = "Several values go into one option, with commas between them."
            raise InputError(f"{option} is given twice", several if is_list else "Give it once.")
        else:
            values[option.name] = value
    return Parsed(values, words.rest())


@dataclass(frozen=True, slots=True)
class CursorPlace:
    """What stands at the end of an unfinished line: `kind` is "option", "value" or "prompt".

    `fragment` is the unfinished text there, `option` the one whose value it is, `given` the values before it.
    """

    kind: str
    fragment: str = ""
    option: Option | None = None
    given: Mapping[str, Any] = field(default_factory=dict)


def cursor_place(line: str, table: Sequence[Option]) -> CursorPlace:
    """Where one is at the end of `line`, for completion. A line that makes no sense is a prompt."""
    finished, last = _split_unfinished(line)
    given: dict[str, Any] = {}
    words = TypedLine(finished)
    while (typed := words.peek()) is not None:
        form = _form(typed, table)
        option = _find_option(form, table)
        if typed == "--" or option is None:
            return CursorPlace("prompt", last, given=given)
        if option.metavar is not None and typed == form == words.rest().strip():
            return CursorPlace("value", last, option, given)
        value = _take_value(words, option, form, table)
        given[option.name] = (*given.get(option.name, ()), value) if option.is_repeatable else value

    # It is within the unfinished word itself: `--model=goo`, `-mgoo`, `--mo`, or a prompt's first letters.
    if last not in ("", "-") and not _looks_like_option(last):
        return CursorPlace("prompt", last, given=given)
    form = _form(last, table)
    option = _find_option(form, table)
    if option is not None and option.metavar is not None and last != form:
        return CursorPlace("value", last[len(form) :].removeprefix("="), option, given)
    return CursorPlace("option", last, given=given)


def split_parts(text: str, has_bars: bool = False) -> list[str]:
    """The words of a text in which `;` or a line break stands between them, so that spaces need no quotes.

    Quotes and JSON values count as they do on a line, for an option that `has_bars` or not. Raises `InputError` for an
    open quote.
    """
    parts: list[str] = []
    at = 0
    while (at := _past(_BETWEEN_PARTS, text, at)) < len(text):
        part, at = _word(text, at, _PART_ENDS, has_bars=has_bars)
        parts.append(part)
    return parts


def _split_unfinished(line: str) -> tuple[str, str]:
    """The line in two: its finished words, and the word it ends in (which may be an open quote with spaces)."""
    start = _past(_SPACE, line, 0)
    while start < len(line):
        try:
            _, end = _word(line, start)
        except InputError:
            break
        if end == len(line):
            break
        start = _past(_SPACE, line, end)
    return line[:start], line[start:]


def _past(stretch: re.Pattern[str], text: str, at: int) -> int:
    """Where the stretch that begins at `at`, which may be empty, ends."""
    found = stretch.match(text, at)
    return found.end() if found else at


def _word(text: str, at: int, ends: re.Pattern[str] = _WORD_ENDS, *, has_bars: bool = False) -> tuple[str, int]:
    """The word that begins at `at`, without its quotes, and where it ends. Raises `InputError` for an open quote."""
    parts: list[str] = []
    start = at
    may_quote = True
    while not ends.match(text, at):
        if text[at] in "[{" and (at == start or text[at - 1] == "="):
            end = json_end(text, at)
            if end is not None and ends.match(text, end):
                return "".join([*parts, text[at:end]]), end
        if may_quote and text[at] in "\"'":
            quoted = _QUOTED.match(text, at)
            if quoted is None:
                raise InputError(
                    f"the quote in {brief(text[at:], width=26)} is not closed", "Close it, or leave it out."
                )
            inner, at = _unquote(quoted[0]), quoted.end()
            is_last = text[at : at + 1] != "|"
            is_alternative = quoted.start() > start and (text[quoted.start() - 1] == "|" or not is_last)
            if has_bars and is_alternative:
                inner = escape_bars(inner, is_last=is_last)
            parts.append(inner)
            may_quote = False
        else:
            parts.append(text[at])
            may_quote = text[at] in _QUOTE_FOLLOWS
            at += 1
    return "".join(parts), at


def _unquote(quoted: str) -> str:
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
    typed = found[0] if (found := _OPTION.match(word)) else word
    if typed.startswith("--") or any(option.long == f"-{typed}" for option in table):
        return typed
    return typed[:2] if _find_option(typed[:2], table) else typed


def _find_option(form: str, table: Sequence[Option]) -> Option | None:
    return next((option for option in table if form in option.forms), None)


def write_option(name: str, value: str, table: Sequence[Option]) -> str:
    """An option, or an input of a model, with its value as one types it; "" where the table has no way to give it."""
    found = {option.name: option for option in table}
    if option := found.get(name):
        return option.forms[0] if option.metavar is None else f"{option.forms[0]} {value}"
    return f"-p {name}={value}" if "param" in found and name not in OPTIONS else ""


def _unknown_option(form: str, value: str, table: Sequence[Option]) -> InputError:
    """The error for an option that the table has not: the likely one begins so, is another tool's, or looks alike."""
    typed = form.lstrip("-").replace("_", "-")
    names = [option.long.removeprefix("--") for option in table]
    guess = None
    if len(typed) > 1:  # one letter looks like everything
        guess = next((name for name in names if name.startswith(typed)), None)
    if not guess and (hint := habit(typed, value, table)):
        return InputError(f"unknown option {form}", hint)
    guess = guess or (closest(typed, names) if len(typed) > 1 else None)
    forms = [each for option in table for each in option.forms]
    hint = f"Did you mean --{guess}?" if guess else f"Options are {comma_list(forms, shown=len(forms))}."
    return InputError(f"unknown option {form}", f"{hint} A prompt that begins with a dash goes behind -- and a space.")


def habit(word: str, value: str, table: Sequence[Option]) -> str | None:
    """What another tool's word, or one of ours in another spelling, is on such a line; None for a word of nobody's."""
    options = [option.name for option in table]
    return advice(word, value, write=lambda name, given: write_option(name, given, table), options=options)


def _check_setting(word: str, table: Sequence[Option]) -> None:
    """Raise `InputError` where a prompt begins with what looks like an option in Python's spelling: `n=4`."""
    found = _SETTING.fullmatch(word)
    ours = HABITS.get(found[1], "") if found else ""
    if found and ((ours and not ours.endswith(".")) or any(option.name == found[1] for option in table)):
        hint = habit(found[1], found[2], table)
        raise InputError(
            f"{word} would be sent as part of the prompt", f"{hint} A prompt that begins so goes behind -- and a space."
        )


def _take_value(words: WordSource, option: Option, form: str, table: Sequence[Option]) -> Any:
    """Take the option and its value, from the same word or the next one; the value of a switch is True."""
    typed = words.peek() or ""
    if option.metavar is None:
        if typed != form:
            raise InputError(f"{form} takes no value, and {typed} gives it one", f"Write {form} alone.")
        words.take()
        return True
    if typed == form:
        words.take()
        following = words.peek()
        is_missing = following is None or following == "--" or bool(_find_option(_form(following, table), table))
    else:
        words.split(form)
        if typed[len(form)] == "=":
            words.split("=")
        is_missing = typed == f"{form}="
    if is_missing:
        raise InputError(f"{option} needs a value: {option.metavar}", f"It is for this: {option.help}.")
    text = words.take(option.has_bars)
    try:
        return option.read(text)
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"{option}: {error}", f"It is written {option.forms[-1]} {option.metavar}.") from None
