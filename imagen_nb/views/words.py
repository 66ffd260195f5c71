"""Figures and states in the words a person reads: seconds, dollars, counts, and why there is no image."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from imagen_nb.errors import Hint, readable
from imagen_nb.records import NOT_AS_ASKED, InputFile, Run, Status
from imagen_nb.settings import SIMULATOR

MINUTE, HOUR = 60, 3600
NO_RUNS = "No runs in this frame."
TIMES = "\N{MULTIPLICATION SIGN}"

_OF_JSON = (bool, int, float, list, tuple, dict, type(None))
_TICKET = re.compile(r"(\(E\d+\)) \([\w-]+\)\s*$")


@dataclass(frozen=True, slots=True)
class Chip:
    """A short word and its tone: `good`, `bad`, `warn`, `busy` or `quiet`."""

    word: str
    tone: str


@dataclass(frozen=True, slots=True)
class Why:
    """Why a run has no image: what happened, in the provider's words where there are any, and what to do next."""

    text: str
    next: str


_TONES = {
    Status.SUCCEEDED: "good",
    Status.FAILED: "bad",
    Status.EXPIRED: "warn",
    Status.UNKNOWN: "warn",
    Status.STARTING: "busy",
    Status.PROCESSING: "busy",
}

_BY_CODE = {
    "blocked": Why(
        "The provider's safety filter refused this prompt or its image.",
        "Unchanged it will be refused again: reword the prompt, or relax the safety setting.",
    ),
    "timeout": Why(
        "It took longer than the timeout and was canceled.",
        "Send it again, with a larger --timeout if the model is slow.",
    ),
    "gone": Why(
        "The provider had deleted the image before it could be fetched.",
        "Send it again for a new image; outputs are kept for about an hour.",
    ),
    "image": Why("What the provider sent is not a usable image.", "Send it again; the reply is kept in the log."),
    "credit": Why("The account has no credit or quota left.", "Top up the account, then go on with --resume."),
    "unauthenticated": Why(
        "The provider does not accept the token.",
        Hint("{}, then send it again.", "Log in with %imagen_login", "Set its token in its variable"),
    ),
    "rejected": Why("The provider does not accept these inputs.", "Correct the parameter it names and send it again."),
    "not_found": Why("The provider does not know this model or prediction.", "Check the model's name."),
    "throttled": Why("The provider asked to wait for too long.", "Send it again later, or go on with --resume."),
    "unreachable": Why("The provider could not be reached; nothing was sent.", "Check the network and send it again."),
}

_BY_STATUS = {
    Status.INTENT: Why("Written to the log, not sent yet.", "If nothing is running, --resume sends it."),
    Status.STARTING: Why("Waiting at the provider.", "It fills in when it is done."),
    Status.PROCESSING: Why("The provider is working on it.", "It fills in when it is done."),
    Status.SUCCEEDED: Why("It succeeded without an image.", "The provider's reply is kept in the log."),
    Status.FAILED: Why("It failed, and the provider gave no reason.", "Send it again; it may work the next time."),
    Status.CANCELED: Why("It was canceled before it was done.", "Send it again, or go on with --resume."),
    Status.ABORTED: Why("It passed its deadline before it started; it was not billed.", "Send it again."),
    Status.EXPIRED: Why("The image is no longer kept by the provider.", "Send it again for a new image."),
    Status.UNKNOWN: Why(
        "The reply to it was lost, so it may have been made and billed.",
        Hint("{} looks for it; do not send it again before that.", "imagen_nb.reconcile()", "imagen-nb reconcile"),
    ),
}


def chip(run: Run) -> Chip:
    """The run's state as one word; a block and a timeout are told apart from other failures."""
    if run.error_code == "blocked" and run.status is not Status.SUCCEEDED:
        return Chip("blocked", "warn")
    if run.error_code == "timeout" and run.status is not Status.SUCCEEDED:
        return Chip("timed out", "bad")
    word = "waiting" if run.status is Status.INTENT else str(run.status)
    return Chip(word, _TONES.get(run.status, "quiet"))


def why(run: Run) -> Why | None:
    """Why the run shows no image and no text, or not all of it; None where nothing is amiss."""
    said = (run.error or "").strip()
    if (run.images or run.text) and run.status is Status.SUCCEEDED:
        is_whole = run.error_code == NOT_AS_ASKED
        step = "The cost is that of what came." if is_whole else "The others are kept; send it again for new ones."
        return Why(said, step) if said else None
    known = _BY_CODE.get(run.error_code or "") or _BY_STATUS[run.status]
    return Why(said, known.next) if said else known


def reason_line(run: Run, limit: int) -> str:
    """Why the run has no image, on one line, without the ticket number that makes each provider's refusal unique."""
    reason = why(run)
    return one_line(_TICKET.sub(r"\1", reason.text), limit) if reason else ""


def remark(run: Run, limit: int) -> str:
    """What stands in the place of a picture, on one line: why there is none, or what the model wrote."""
    return reason_line(run, limit) or one_line(run.text or "", limit)


def is_simulated(run: Run) -> bool:
    """Whether the built-in simulator painted it."""
    return run.provider == SIMULATOR


def cost_text(run: Run) -> str:
    """What the run cost in dollars, and whether nobody pays that as it is simulated; empty where it is not known."""
    return ", ".join(filter(None, [dollars(run.cost), "simulated" if is_simulated(run) else ""]))


def seconds(value: float | None) -> str:
    """A duration for reading: `9.8 s`, `48 s`, `2 min 05 s`, `1 h 02 min`; empty where it is not known."""
    if value is None or not math.isfinite(value):
        return ""
    value = max(value, 0.0)
    if value < 9.95:  # noqa: PLR2004 - beyond this the tenth would round up to 10.0
        return f"{value:.1f} s"
    whole = round(value)
    if whole < MINUTE:
        return f"{whole} s"
    if whole < HOUR:
        return f"{whole // MINUTE} min {whole % MINUTE:02d} s"
    return f"{whole // HOUR} h {whole % HOUR // MINUTE:02d} min"


def dollars(value: float | None) -> str:
    """US dollars with at least two decimals and no more than the figure needs; empty where it is not known."""
    if value is None or not math.isfinite(value):
        return ""
    if abs(value) >= 1:
        return f"${value:,.2f}"
    whole, decimals = f"{value:.4f}".split(".")
    return f"${whole}.{decimals.rstrip('0').ljust(2, '0')}"


def count(number: int, noun: str) -> str:
    """`1 image`, `2,000 images`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def size(number: int) -> str:
    """Bytes for reading: `812 B`, `165 kB`, `1.2 MB`."""
    if number < 1000:  # noqa: PLR2004 - SI units
        return f"{number} B"
    return f"{number / 1e3:.0f} kB" if number < 1e6 else f"{number / 1e6:.1f} MB"  # noqa: PLR2004 - SI units


def value_text(item: Any) -> str:
    """A parameter's, slot's or column's value as text.

    What JSON knows is as JSON writes it, but for strings, which stay as they are; several files are their names. A time
    is `2025-03-01 12:00:05`, with a fraction only where it has one; anything else is as it prints itself.
    """
    if isinstance(item, str):
        return str(item)
    if isinstance(item, float) and item.is_integer() and abs(item) < 1e15:  # noqa: PLR2004 - exact below this
        return str(int(item))
    if isinstance(item, list | tuple) and any(isinstance(each, InputFile) for each in item):
        return ", ".join(map(str, item))
    if isinstance(item, _OF_JSON):
        return json.dumps(item, ensure_ascii=False, default=str)
    if isinstance(item, datetime):
        return f"{item:%Y-%m-%d %H:%M:%S.%f}".rstrip("0") if item.microsecond else f"{item:%Y-%m-%d %H:%M:%S}"
    return str(item)


def value_texts(values: Mapping[str, Any], *, limit: int = 60) -> list[tuple[str, str]]:
    """Names with their values as text, each cut to `limit` characters."""
    return [(name, clip(value_text(item), limit)) for name, item in values.items()]


def clip(text: str, limit: int) -> str:
    """At most `limit` characters, cut at a word where one ends near, with an ellipsis."""
    if len(text) <= limit:
        return text
    cut = text[: limit - 1]
    at_word = cut.rsplit(maxsplit=1)[0] if " " in cut[limit // 2 :] else cut
    return at_word.rstrip() + "…"


def one_line(text: str, limit: int = 120) -> str:
    """The text on one line, readable and clipped."""
    return clip(readable(" ".join(text.split())), limit)


def terminal_text(lines: Iterable[str]) -> str:
    """Lines for a terminal, without what could command it."""
    return readable("\n".join(lines))


def dot_list(parts: Iterable[str]) -> str:
    """The parts that are there, with a middle dot between them."""
    return " · ".join(part for part in parts if part)
