"""What can go wrong, as one shallow tree; every error says what happened and what to do next.

ImagenError
├── InputError (also ValueError)    a bad option, value, slot, plan or frame; nothing was sent
│   └── ConfirmationError           the plan is larger than `confirm_above`; nothing was sent
├── SettingsError                   an unknown provider, a bad base URL, no token, an unusable token
├── LogError                        the home folder or the log in it cannot be used
├── ImageError                      an output that is not a whole, sane image
│   └── ImageGoneError              an output that the provider has deleted
└── ProviderError                   the provider said no, or nothing one can use
    ├── AuthenticationError         401 or 403: the token is wrong
    ├── CreditError                 402 or a used-up quota
    ├── NotFoundError               404: no such prediction, model or endpoint
    ├── RejectedError               400 or 422: the provider refuses the input
    ├── ThrottledError              429 for longer than one can wait
    ├── UnreachableError            the request surely never left
    └── UncertainError              5xx, a lost or an unreadable reply: a create may have been accepted

Interrupted (KeyboardInterrupt)     the user stopped a cell; what was accepted is in the log

Each class has a `code`, the word that the log's `error_code` column carries. IPython shows any of these in two
lines, through the `_render_traceback_` protocol, and the cell still fails.

Below the tree stands the wording that messages share: lists of allowed values (`comma_list`), a value in a few letters
(`brief`), a guess at what was meant (`closest`, `did_you_mean`), and foreign text as it may be shown (`readable`). No
error repeats what looks like a token, wherever it was given (`mask_tokens`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from os.path import commonprefix
from typing import Any

_MOST_LISTED = 20
_TOKEN = re.compile(r"\b(?:r8_\w+|sk-[\w-]{16,}|(?=\w*[a-z])(?=\w*[A-Z])(?=\w*[0-9])\w{32,})", re.ASCII)
_SHOWN_AS_WRITTEN = (str, int, float, bool, list, tuple, dict)
_UNREADABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


class Hint(str):
    """A hint with a word that is another one in a shell: the text is a notebook's, `in_shell` the same for a shell.

    `{}` in `text` is where that word stands: `Hint("Choose another folder with {}.", "home=", "--home")`.
    """

    __slots__ = ("in_shell",)
    in_shell: str

    def __new__(cls, text: str, in_notebook: str = "", in_shell: str = "") -> Hint:  # noqa: PYI034 - Self came with Python 3.11
        hint = super().__new__(cls, text.replace("{}", in_notebook))
        hint.in_shell = text.replace("{}", in_shell)
        return hint


def in_shell(text: str) -> str:
    """A hint or a notice as one reads it in a shell."""
    return text.in_shell if isinstance(text, Hint) else text


class _TwoLines(BaseException):
    """The message, the hint, and how IPython prints them."""

    code = "error"
    hint = ""

    def __init__(self, message: str, hint: str | None = None) -> None:
        message = mask_tokens(message)
        super().__init__(message)
        self.message = message
        if hint is not None:
            self.hint = mask_tokens(hint)

    def __str__(self) -> str:
        return readable(f"{self.message}\n{self.hint}" if self.hint else self.message)

    def _render_traceback_(self) -> list[str]:
        first = readable(f"{type(self).__name__}: {self.message}")
        return [first, f"  {readable(self.hint)}"] if self.hint else [first]


class ImagenError(_TwoLines, Exception):
    """The root of every error this package raises. `.message` and `.hint` are its two lines."""


class InputError(ImagenError, ValueError):
    """A mistake in what was asked for; raised before anything is sent."""

    code = "input"


class ConfirmationError(InputError):
    """The plan is larger than `confirm_above` and was not confirmed; nothing was sent."""

    code = "unconfirmed"


class SettingsError(ImagenError):
    """The provider, its base URL or its token cannot be used as configured."""

    code = "settings"


class LogError(ImagenError):
    """The home folder or its log cannot be read or written; nothing is sent without a durable row."""

    code = "log"


class ImageError(ImagenError):
    """An output that is not a whole image of a sane size."""

    code = "image"


class ImageGoneError(ImageError):
    """An output that the provider no longer has."""

    code = "gone"
    hint = "Outputs are deleted about an hour after they are made; send the request again for a new image."


class ProviderError(ImagenError):
    """The provider's refusal, or the lack of a usable reply.

    `.status` is the HTTP status or None, `.raw` the parsed body or None.
    """

    code = "provider"

    def __init__(self, message: str, hint: str | None = None, *, status: int | None = None, raw: Any = None) -> None:
        super().__init__(message, hint)
        self.status = status
        self.raw = raw

    @property
    def is_stopping(self) -> bool:
        """Whether every further request would meet the same fate, so that a sweep must stop."""
        return isinstance(self, AuthenticationError | CreditError | ThrottledError)

    @property
    def is_uncertain(self) -> bool:
        """Whether a create that ended so may have been accepted and billed all the same."""
        return isinstance(self, UncertainError)


class AuthenticationError(ProviderError):
    """The provider does not accept the token."""

    code = "unauthenticated"


class CreditError(ProviderError):
    """The account has no credit or quota left."""

    code = "credit"


class NotFoundError(ProviderError):
    """The provider has no such prediction, model or endpoint."""

    code = "not_found"


class RejectedError(ProviderError):
    """The provider refuses the input. `.fields` maps each refused field to the reason."""

    code = "rejected"

    def __init__(
        self,
        message: str,
        hint: str | None = None,
        *,
        status: int | None = None,
        raw: Any = None,
        fields: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message, hint, status=status, raw=raw)
        self.fields = dict(fields or {})


class ThrottledError(ProviderError):
    """The provider asks to wait for longer than the call may take. `.retry_after` is in seconds, or None."""

    code = "throttled"

    def __init__(
        self,
        message: str,
        hint: str | None = None,
        *,
        status: int | None = None,
        raw: Any = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, hint, status=status, raw=raw)
        self.retry_after = retry_after


class UnreachableError(ProviderError):
    """The request surely never left: no address, no connection, no trust in the certificate."""

    code = "unreachable"


class UncertainError(ProviderError):
    """The request left, and no usable reply came: a create that ended so may have been accepted."""

    code = "uncertain"


class Interrupted(_TwoLines, KeyboardInterrupt):
    """The user interrupted a cell. `.runs` holds what had been asked for, as far as it is known."""

    code = "interrupted"

    def __init__(self, message: str, hint: str | None = None, *, runs: Any = None) -> None:
        super().__init__(message, hint)
        self.runs = runs


def closest(word: object, choices: Iterable[object]) -> str | None:
    """The choice that looks most like `word`, letter case aside, or None when none does."""
    by_folded = {str(choice).casefold(): str(choice) for choice in choices}
    folded = str(word).casefold()
    found = get_close_matches(folded, by_folded, n=4, cutoff=0.6)
    # Of those, the one that begins most like it: 16:10 is nearer to 16:9 than to 1:1.
    likest = max(found, key=lambda each: len(commonprefix([each, folded])), default=None)  # noqa: RUF071 - letters count
    return by_folded[likest] if likest else None


def did_you_mean(word: object, choices: Iterable[object], otherwise: str) -> str:
    """A hint: the likeliest choice, else the sentence `otherwise`."""
    guess = closest(word, choices)
    return f"Did you mean {guess}?" if guess else otherwise


def comma_list(values: Sequence[Any], *, shown: int = _MOST_LISTED) -> str:
    """The values between commas; beyond `shown` of them, the first ones and how many there are."""
    texts = [str(value) for value in values]
    if len(texts) <= shown:
        return ", ".join(texts) or "none"
    return f"{', '.join(texts[:shown])} and {len(texts) - shown} more"


def brief(value: object, *, width: int = 60) -> str:
    """A plain value as Python would write it, cut to at most `width` characters; of anything else its type alone."""
    if value is None:
        return "nothing"
    text = mask_tokens(repr(value)) if isinstance(value, _SHOWN_AS_WRITTEN) else f"a {type(value).__name__}"
    return text if len(text) <= width else f"{text[: width - 1]}…"


def mask_tokens(text: str) -> str:
    """The text with `[token]` for each word that looks like a provider's token; the same text where none does.

    A token begins as those of known services do, or has 32 letters and digits or more, some of them large, some small:
    neither a hash, a UUID nor a prediction's id has both.
    """
    is_ours = isinstance(text, Hint)  # and so repeats nothing that was given
    return text if is_ours or not _TOKEN.search(text) else _TOKEN.sub("[token]", text)


def encodable(text: str) -> str:
    """The text with halves of a surrogate pair joined where they are two, else U+FFFD: half a pair has no encoding."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def readable(text: str) -> str:
    """Text from anywhere as every view, page and terminal shows it.

    Beyond what `encodable` does, U+FFFD stands for control characters, which command a terminal, and for marks that
    turn the direction of the text after them, which belongs to others.
    """
    return _UNREADABLE.sub("\N{REPLACEMENT CHARACTER}", encodable(text).replace("\r\n", "\n"))
