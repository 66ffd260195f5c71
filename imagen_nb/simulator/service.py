"""The API itself: from one call to one reply. It knows nothing of sockets.

Every path of the service that the simulator speaks is in `_ROUTES`.
"""

from __future__ import annotations

import base64
import hmac
import json
import math
import random
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NoReturn, Protocol
from urllib.parse import urlencode

from imagen_nb.simulator import bodies as replies
from imagen_nb.simulator.bodies import Reply
from imagen_nb.simulator.catalogue import Model, Problem
from imagen_nb.simulator.ledger import Ledger, Row, Span, Wall

MEDIA = {"jpg": "image/jpeg", "png": "image/png", "webp": "image/webp"}
# Each picture takes several times its size while it is painted, so that many at once would fill the memory.
_PAINTERS = threading.BoundedSemaphore(2)


class Paint(Protocol):
    """Makes one picture: the bytes of a file of that size and format ("jpg", "png" or "webp").

    The words are the prompt, the model's name and the other inputs; `variation` tells one picture of the same words
    from the next. The same arguments give the same bytes.
    """

    def __call__(
        self, width: int, height: int, fmt: str, *, prompt: str, model: str, params: Mapping[str, Any], variation: str
    ) -> bytes: ...


class Dropped(Exception):  # noqa: N818 - a fault that was asked for, and no error
    """Ends a call without a reply; `is_reset` when the create was processed and the connection is to be reset."""

    def __init__(self, *, is_reset: bool) -> None:
        super().__init__()
        self.is_reset = is_reset


class Service:
    """Answers calls from a ledger and a catalogue. `origin` is what outputs' URLs begin with; thread-safe."""

    def __init__(
        self,
        ledger: Ledger,
        models: Mapping[str, Model],
        paint: Paint,
        *,
        origin: str,
        unix_zero: float,
        token: str | None = None,
        keep_s: float = 3600.0,
        seed: int = 0,
        faults: Faults | None = None,
    ) -> None:
        self.ledger, self.faults = ledger, faults or Faults()
        self._models, self._paint, self._origin, self._token = models, paint, origin, token
        self._versions = {model.version_id: model for model in models.values()}
        self._unix_zero, self._keep_s, self._seed = unix_zero, keep_s, seed
        self._lock, self._meter, self._creates, self._others = threading.Lock(), Meter(), 0, 0

    @property
    def wall(self) -> Wall:
        """The server's clock, skew included."""
        return Wall(self._unix_zero + self.faults.clock_skew_s)

    def answer(self, call: Call) -> Reply:
        """The reply to one call. Raises `Dropped` where a fault says that there is none."""
        method = "GET" if call.method == "HEAD" else call.method
        matches = [(route, match) for route in _ROUTES if (match := route.pattern.fullmatch(call.path))]
        route, match = next((each for each in matches if each[0].method == method), (None, None))
        if route is None or match is None:
            return _not_allowed(matches) if matches else _not_found()
        try:
            if route.is_api:
                self._admit(call, is_create=route.is_create)
            return route.answer(self, call, **match.groupdict())
        except Refused as refusal:
            return refusal.reply

    def shown(self, row: Row) -> dict[str, Any]:
        """The prediction as the API shows it at this moment."""
        now = self.ledger.clock()
        return replies.prediction(row, now, self.wall, self._outputs(row, now), self._keep_s)

    # -- who may call, and how often --------------------------------------------------------------------------

    def _admit(self, call: Call, *, is_create: bool) -> None:
        """Raise `Refused` for a wrong token, and where a fault says so."""
        given = call.headers.get("authorization", "")
        if self._token is not None and not hmac.compare_digest(given.encode(), f"Bearer {self._token}".encode()):
            detail = "You did not pass a valid authentication token"
            raise Refused(replies.problem(401, detail, "Unauthenticated"))
        if is_create:
            self._meter_create()
        elif self.faults.get_errors and self._draw("other") < self.faults.get_errors:
            raise Refused(replies.problem(500, "Internal server error"))

    def _meter_create(self) -> None:
        faults = self.faults
        if faults.creates_per_minute:
            with self._lock:
                self._meter, wait = self._meter.take(faults.creates_per_minute, faults.burst, self.ledger.clock())
            if wait:
                raise Refused(replies.throttled(wait, faults.creates_per_minute, faults.burst, faults.retry_after))
        if faults.no_credit:
            detail = "You have insufficient credit to run this model. Go to your billing page to purchase credit."
            raise Refused(replies.problem(402, detail, "Insufficient credit"))

    def _draw(self, kind: str) -> float:
        with self._lock:
            if kind == "create":
                self._creates += 1
            else:
                self._others += 1
            number = self._creates if kind == "create" else self._others
        return chance(self._seed, kind, number)

    # -- creating ---------------------------------------------------------------------------------------------

    def create_by_model(self, call: Call, owner: str, name: str) -> Reply:
        model = self._models.get(f"{owner}/{name}")
        return self._create(call, lambda _body: (model or refuse(_not_found()), None), CREATE_KEYS)

    def create_by_version(self, call: Call) -> Reply:
        return self._create(call, self._model_of_version, CREATE_KEYS | {"version"})

    def _model_of_version(self, body: Mapping[str, Any]) -> tuple[Model, str | None]:
        """The model, and the version to show: of `owner/name`, `owner/name:hex` or the version's id alone."""
        named, _, version = str(body.get("version", "")).rpartition(":")
        if version in self._models:
            return self._models[version], None
        model = self._versions.get(version)
        if model is None or named not in ("", model.name):
            detail = "The specified version does not exist (or perhaps you don't have permission to use it?)"
            raise Refused(replies.problem(422, detail, "Invalid version or not permitted"))
        return model, version

    def _create(
        self,
        call: Call,
        model_of: Callable[[Mapping[str, Any]], tuple[Model, str | None]],
        keys: frozenset[str],
    ) -> Reply:
        """Check, drop where a fault says so, create, and hold if that was asked for."""
        faults, draw = self.faults, self._draw("create")
        edges = (faults.drop_before, faults.drop_after, faults.error_before, faults.error_after)
        limits = [sum(edges[: end + 1]) for end in range(len(edges))]
        fate = next((name for name, limit in zip(_CREATE_FATES, limits, strict=True) if draw < limit), "answered")
        if fate == "drop_before":
            raise Dropped(is_reset=False)
        if fate == "error_before":
            return _bad_gateway()
        body = body_of(call, keys)
        model, version = model_of(body)
        if problems := model.problems(body["input"]):
            return replies.refused(problems)
        row = self.ledger.create(
            model,
            body["input"],
            version=version,
            cancel_after=cancel_after(call),
            cold_start=faults.cold_start_s,
        )
        if fate == "drop_after":
            raise Dropped(is_reset=True)
        return _bad_gateway() if fate == "error_after" else self._first_reply(call, row)

    def _first_reply(self, call: Call, row: Row) -> Reply:
        """At once, or when the prediction has ended or the hold asked for is over."""
        hold = None if self.faults.ignore_prefer else hold_of(call)
        if hold is None:
            return replies.as_json(self.shown(row), 201)
        is_over = self.ledger.wait(row, hold.seconds)
        shown = self.shown(row)
        if self.faults.early_output and shown.get("output"):
            shown = replies.early(shown)
        return replies.as_json(shown, 201 if is_over else 202, (("Preference-Applied", hold.text),))

    # -- all else ---------------------------------------------------------------------------------------------

    def get(self, _call: Call, prediction_id: str) -> Reply:
        return replies.as_json(self.shown(self._row(prediction_id)))

    def cancel(self, _call: Call, prediction_id: str) -> Reply:
        if self.faults.no_cancel:
            return _not_found()
        return replies.as_json(self.shown(self.ledger.cancel(self._row(prediction_id))))

    def page(self, call: Call) -> Reply:
        if self.faults.no_list:
            return _not_found()
        try:
            page = self.ledger.page(
                self.wall, cursor=call.query.get("cursor"), span=span_of(call), lag=self.faults.list_lag_s
            )
        except ValueError:
            return replies.problem(400, "The cursor or a time in the query cannot be read.")
        kept = {name: value for name, value in call.query.items() if name in ("created_after", "created_before")}
        return replies.as_json(
            {
                "previous": None,
                "next": None if page.next is None else self._list_url({**kept, "cursor": page.next}),
                "results": [self.shown(row) for row in page.rows],
            }
        )

    def model(self, _call: Call, owner: str, name: str) -> Reply:
        return replies.as_json(replies.model_page(self._model(owner, name)))

    def versions(self, _call: Call, owner: str, name: str) -> Reply:
        results = [replies.version_page(self._model(owner, name))]
        return replies.as_json({"previous": None, "next": None, "results": results})

    def version(self, _call: Call, owner: str, name: str, version: str) -> Reply:
        model = self._model(owner, name)
        return replies.as_json(replies.version_page(model)) if version == model.version_id else _not_found()

    def file(self, _call: Call, prediction_id: str, index: str, extension: str) -> Reply:
        row, now = self._row(prediction_id), self.ledger.clock()
        uris = self._uris(row) if row.status(now) == "succeeded" and now < row.ended + self._keep_s else []
        if row.word in ("[empty]", "[gone]") or f"/files/{row.id}/{index}.{extension}" not in uris:
            return _not_found()
        return Reply(200, self._painted(row, int(index)), MEDIA[extension], (("Cache-Control", "no-store"),))

    def front(self, _call: Call) -> Reply:
        text = "The simulator of imagen_nb: a local stand-in for the API, which makes up its pictures.\n"
        return Reply(200, text.encode(), "text/plain; charset=utf-8")

    # -- parts ------------------------------------------------------------------------------------------------

    def _row(self, prediction_id: str) -> Row:
        return self.ledger.get(prediction_id) or refuse(_not_found())

    def _model(self, owner: str, name: str) -> Model:
        model = None if self.faults.no_models else self._models.get(f"{owner}/{name}")
        return model or refuse(_not_found())

    def _list_url(self, query: Mapping[str, str]) -> str:
        base = replies.API if self.faults.foreign_next else f"{self._origin}/v1"
        return f"{base}/predictions?{urlencode(query)}"

    def _uris(self, row: Row) -> list[str]:
        filled = row.input
        extension = row.model.extension(filled)
        return [f"/files/{row.id}/{index}.{extension}" for index in range(row.model.pictures(filled))]

    def _outputs(self, row: Row, now: float) -> list[str] | None:
        """The URIs of what it made, None while it has made nothing and when it never will."""
        if row.word == "[empty]" or row.status(now) != "succeeded":
            return None
        if self.faults.data_uris:
            return [self._data_uri(row, index) for index in range(row.model.pictures(row.input))]
        return [self._origin + path for path in self._uris(row)]

    def _data_uri(self, row: Row, index: int) -> str:
        media = MEDIA[row.model.extension(row.input)]
        return f"data:{media};base64,{base64.b64encode(self._painted(row, index)).decode()}"

    def _painted(self, row: Row, index: int) -> bytes:
        """The file's bytes. A `seed` among the inputs decides the picture, as it does for a model."""
        filled = row.input
        width, height = row.model.pixels(filled)
        chosen = f"seed {filled['seed']}" if "seed" in filled else f"{self._seed}/{row.number}"
        with _PAINTERS:
            return self._paint(
                width,
                height,
                row.model.extension(filled),
                prompt=str(filled.get("prompt", "")),
                model=row.model.name,
                params={name: value for name, value in filled.items() if name != "prompt"},
                variation=f"{chosen}/{index}",
            )


def _not_found() -> Reply:
    return replies.problem(404, "The requested resource could not be found.")


def _not_allowed(matches: list[tuple[Route, re.Match[str]]]) -> Reply:
    allowed = ", ".join(sorted({route.method for route, _ in matches}))
    return replies.problem(405, "The method is not allowed here.", headers=(("Allow", allowed),))


def _bad_gateway() -> Reply:
    return Reply(502, b"<html><body><h1>502 Bad Gateway</h1></body></html>", "text/html")


@dataclass(frozen=True)
class Route:
    """Which method answers a path. Those of the API ask for the token."""

    method: str
    pattern: re.Pattern[str]
    answer: Callable[..., Reply]
    is_api: bool = True
    is_create: bool = False


def _route(method: str, path: str, answer: Callable[..., Reply]) -> Route:
    """`{word}` in a path stands for one segment of it."""
    parts = {"prediction_id": "[0-9a-z]{26}", "index": r"\d{1,2}", "extension": "jpg|png|webp", "version": "[0-9a-f]+"}
    pattern = re.sub(r"\\\{(\w+)\\\}", lambda m: f"(?P<{m[1]}>{parts.get(m[1], '[^/]+')})", re.escape(path))
    return Route(method, re.compile(pattern), answer)


_CREATE_FATES = ("drop_before", "drop_after", "error_before", "error_after")
_ROUTES = (
    replace(_route("POST", "/v1/models/{owner}/{name}/predictions", Service.create_by_model), is_create=True),
    replace(_route("POST", "/v1/predictions", Service.create_by_version), is_create=True),
    _route("GET", "/v1/predictions/{prediction_id}", Service.get),
    _route("POST", "/v1/predictions/{prediction_id}/cancel", Service.cancel),
    _route("GET", "/v1/predictions", Service.page),
    _route("GET", "/v1/models/{owner}/{name}", Service.model),
    _route("GET", "/v1/models/{owner}/{name}/versions", Service.versions),
    _route("GET", "/v1/models/{owner}/{name}/versions/{version}", Service.version),
    replace(_route("GET", "/files/{prediction_id}/{index}.{extension}", Service.file), is_api=False),
    replace(_route("GET", "/", Service.front), is_api=False),
)


# ----------------------------------------------------------------------------------------------------
# What came in: one call, and what its headers, query and body ask for.

CREATE_KEYS = frozenset({"input", "stream", "webhook", "webhook_completed", "webhook_events_filter"})
LONGEST_HOLD_S = 60
_HOLD = re.compile(r"(?:^|,)\s*(wait(?:=(\d{1,6}))?)\s*(?=,|;|$)", re.IGNORECASE)
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|[smh]))+|\d+(?:\.\d+)?")
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[smh])?")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "": 1.0}
_TIME = re.compile(
    r"(?P<day>\d{4}-\d\d-\d\d)(?:[T ](?P<clock>\d\d:\d\d:\d\d)(?P<fraction>\.\d{1,9})?)?(?P<zone>Z|[ +-]\d\d:?\d\d)?"
)


@dataclass(frozen=True)
class Call:
    """One request as it came in. Names of headers are in lower case; `query` has the first value of each name."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True)
class Hold:
    """How long a create is to be held open; `text` is the preference as it was given."""

    seconds: float
    text: str


class Refused(Exception):  # noqa: N818 - it carries a reply, and is none of the user's errors
    """Ends a call with this reply."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status)
        self.reply = reply


def refuse(reply: Reply) -> NoReturn:
    """Raise `Refused`, as an expression."""
    raise Refused(reply)


def body_of(call: Call, keys: frozenset[str]) -> Mapping[str, Any]:
    """The body of a create: an object with an `input` object and no key that the service would refuse."""
    try:
        body = json.loads(call.body, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise Refused(replies.problem(400, "The request body is not valid JSON.")) from None
    if not isinstance(body, dict):
        raise Refused(replies.refused([Problem("invalid_type", "(root)", "Invalid type. Expected: object")]))
    problems = [
        Problem("additional_property_not_allowed", "(root)", f"Additional property {key} is not allowed")
        for key in body
        if key not in keys
    ]
    if not isinstance(body.get("input"), dict):
        problems.append(Problem("required", "(root)", "input is required, and is an object"))
    if problems:
        raise Refused(replies.refused(problems))
    return body


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def hold_of(call: Call) -> Hold | None:
    """What `Prefer: wait` or `Prefer: wait=N` asks for, at most a minute; None without it."""
    asked = _HOLD.search(call.headers.get("prefer", ""))
    if asked is None:
        return None
    return Hold(min(LONGEST_HOLD_S, max(1, int(asked[2] or LONGEST_HOLD_S))), asked[1])


def cancel_after(call: Call) -> float:
    """Seconds of a `Cancel-After` header such as `600s`, `1m` or `1h30m`; a bare number counts seconds."""
    text = call.headers.get("cancel-after")
    if text is None:
        return math.inf
    if not _DURATION.fullmatch(text.strip()):
        detail = f"Cancel-After must be a duration such as 90s, 1m or 1h30m, not {text!r}."
        raise Refused(replies.problem(422, detail, "Invalid header"))
    return sum(float(number) * _UNITS[unit] for number, unit in _DURATION_PART.findall(text))


def span_of(call: Call) -> Span:
    """The times of creation that a list is limited to. Raises `ValueError` for one that cannot be read."""
    since, before = call.query.get("created_after"), call.query.get("created_before")
    return Span(
        since_ms=-math.inf if since is None else unix_ms(since),
        before_ms=math.inf if before is None else unix_ms(before),
    )


def unix_ms(text: str) -> float:
    """Unix time in milliseconds of an ISO 8601 text. Raises `ValueError` when it is not one."""
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError(f"not a time: {text!r}")
    # A + that was not quoted arrives as a space.
    zone = (match["zone"] or "Z").replace("Z", "+0000").replace(" ", "+").replace(":", "")
    whole = datetime.strptime(f"{match['day']}T{match['clock'] or '00:00:00'}{zone}", "%Y-%m-%dT%H:%M:%S%z")
    return whole.timestamp() * 1000 + float(match["fraction"] or 0) * 1000


# ----------------------------------------------------------------------------------------------------
# Faults that can be switched on, for tests and for practice; without any, the simulator is a service in good
# health. They go through the same server as everything else and can be changed while it runs: `simulator.faults
# = Faults(…)`. Fractions are chances between 0 and 1, drawn from the simulator's seed, so that the same run
# meets the same faults.


@dataclass(frozen=True)
class Faults:
    """What goes wrong. Everything is off by default.

    `creates_per_minute`, `burst`: over this rate a create is answered with 429.
    `retry_after`: where that reply says how long to wait: "header", "body", "text" (only in the sentence) or "all".
    `no_credit`: creates are answered with 402.
    `error_before`, `error_after`: fraction of creates answered with 502 before, or after, they were processed.
    `drop_before`, `drop_after`: fraction of creates whose connection ends before, or is reset after, processing.
    `get_errors`: fraction of other calls of the API answered with 500.
    `no_list`, `no_cancel`, `no_models`: the call is not offered (404).
    `list_lag_s`: seconds until a prediction appears in the list.
    `ignore_prefer`: `Prefer: wait` is not honoured.
    `early_output`: a held create that is done says `processing`, with its output already there.
    `cold_start_s`: seconds added before a prediction starts.
    `clock_skew_s`: seconds that the server's clock is ahead.
    `foreign_next`: the list's `next` names api.replicate.com, as the service's does behind a gateway.
    `data_uris`: outputs are `data:` URIs instead of URLs.
    """

    creates_per_minute: float | None = None
    burst: int = 1
    retry_after: str = "all"
    no_credit: bool = False
    error_before: float = 0.0
    error_after: float = 0.0
    drop_before: float = 0.0
    drop_after: float = 0.0
    get_errors: float = 0.0
    no_list: bool = False
    no_cancel: bool = False
    no_models: bool = False
    list_lag_s: float = 0.0
    ignore_prefer: bool = False
    early_output: bool = False
    cold_start_s: float = 0.0
    clock_skew_s: float = 0.0
    foreign_next: bool = False
    data_uris: bool = False


@dataclass(frozen=True, slots=True)
class Meter:
    """A token bucket as a value: `tokens` were left at the moment `at`, in seconds."""

    tokens: float = math.inf
    at: float = 0.0

    def take(self, per_minute: float, burst: int, now: float) -> tuple[Meter, float]:
        """The meter after one create, and the seconds to wait: 0.0 when it passes."""
        tokens = min(float(burst), self.tokens + (now - self.at) * per_minute / 60)
        if tokens >= 1:
            return replace(self, tokens=tokens - 1, at=now), 0.0
        return replace(self, tokens=tokens, at=now), (1 - tokens) * 60 / per_minute


def chance(seed: int, kind: str, number: int) -> float:
    """A number in [0, 1), always the same for the same seed, kind and number."""
    return random.Random(f"{seed}/{kind}/{number}").random()  # noqa: S311 - faults must repeat, not be secret
