"""Which listed prediction belongs to which lost request: the arithmetic of reconciliation.

The API echoes an input with its keys reordered and its defaults filled in, so equality is asked only of what was sent;
what was not sent must be the model's default. Each prediction is given to one request at most, the earliest first.

A listed prediction that does not match may be the request's all the same: an input is removed after an hour, a default
may not be what the catalogue says, a model may go by another name. It is never taken, and the request is not missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from imagen_nb.core.records import Json, Prediction, Request, canonical


@dataclass(frozen=True, slots=True)
class Wanted:
    """A request whose create was lost. `since` is the earliest creation time, on the provider's clock, UTC.

    `called` is what the provider's replies call the model, as far as any is known.
    """

    run_id: str
    request: Request
    since: datetime
    defaults: Json = field(default_factory=dict)
    called: frozenset[str] = frozenset()


def match(wanted: Iterable[Wanted], listed: Iterable[Prediction]) -> dict[str, Prediction]:
    """The prediction found for each run id; a run for which there is none is absent."""
    unclaimed = _by_prompt(listed)
    found: dict[str, Prediction] = {}
    for one in sorted(wanted, key=lambda one: one.since):
        candidates = unclaimed.get(one.request.prompt, [])
        best = _best(one, candidates)
        if best is not None:
            candidates.remove(best)
            found[one.run_id] = best
    return found


def matches(one: Wanted, candidate: Prediction) -> bool:
    """Whether the prediction could be given to the request."""
    return _unexplained(one, candidate) is not None


def may_be(one: Wanted, candidate: Prediction) -> bool:
    """Whether nothing that is known of the prediction rules the request out."""
    if candidate.created_at is not None and candidate.created_at < one.since:
        return False
    if not _same_model(one, candidate) and (one.called or "/" not in one.request.model):
        return False
    sent, echoed = dict(one.request.input), candidate.input
    if "prompt" in echoed and spaced(sent.pop("prompt", "")) != spaced(echoed["prompt"]):
        return False
    return all(name not in echoed or _same_value(value, echoed[name]) for name, value in sent.items())


def spaced(prompt: Any) -> str:
    """The prompt's words with single spaces between them, as a provider may have tidied it."""
    return " ".join(str(prompt).split())


def _by_prompt(listed: Iterable[Prediction]) -> dict[str, list[Prediction]]:
    """Predictions by their prompt, the oldest first; what has no time or no input cannot be matched."""
    groups: dict[str, list[Prediction]] = {}
    timed = [one for one in listed if one.created_at is not None]
    for one in sorted(timed, key=lambda one: (one.created_at, one.id)):
        groups.setdefault(str(one.input.get("prompt", "")), []).append(one)
    return groups


def _best(one: Wanted, candidates: Sequence[Prediction]) -> Prediction | None:
    """The oldest candidate with the fewest inputs that nobody can explain."""
    ranked = [(rank, place) for place, each in enumerate(candidates) if (rank := _unexplained(one, each)) is not None]
    return candidates[min(ranked)[1]] if ranked else None


def _unexplained(one: Wanted, candidate: Prediction) -> int | None:
    """How many echoed inputs were neither sent nor known defaults; None where the two cannot be the same."""
    if candidate.created_at is None or candidate.created_at < one.since:
        return None
    if not _same_model(one, candidate):
        return None
    sent, echoed = one.request.input, candidate.input
    if any(name not in echoed or not _same_value(value, echoed[name]) for name, value in sent.items()):
        return None
    added = {name: value for name, value in echoed.items() if name not in sent and value is not None}
    if any(name in one.defaults and not _same_value(one.defaults[name], value) for name, value in added.items()):
        return None
    return sum(name not in one.defaults for name in added)


def _same_model(one: Wanted, candidate: Prediction) -> bool:
    asked = one.request.model
    name, _, version = asked.rpartition(":") if ":" in asked else (asked, "", "")
    seen_version = str(candidate.raw.get("version", ""))
    if "/" not in asked:
        return seen_version == asked
    return candidate.model in (None, name, *one.called) or bool(version and seen_version == version)


def _same_value(sent: Any, echoed: Any) -> bool:
    if isinstance(sent, str) and sent.startswith("data:") and isinstance(echoed, str):
        return sent == echoed or echoed.startswith("https://")  # the service keeps uploads as files
    try:
        return canonical(_plain(sent)) == canonical(_plain(echoed))
    except RecursionError:  # an echo nested beyond measure is of nothing we sent
        return False


def _plain(value: Any) -> Any:
    """The value with whole floats as integers, as JSON writers differ in them."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value
