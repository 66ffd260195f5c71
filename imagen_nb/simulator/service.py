"""The API itself: from one request to one response. It knows nothing of sockets.

Every path of the service that the simulator speaks is in `_ROUTES`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import io
import json
import math
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from http import HTTPStatus
from typing import Any, NoReturn, Protocol
from urllib.parse import urlencode

from imagen_nb.simulator import bodies
from imagen_nb.simulator.answers import Answer, answer
from imagen_nb.simulator.bodies import ServerResponse
from imagen_nb.simulator.catalogue import Model, Problem
from imagen_nb.simulator.files import Files, Reference, StoredFile, TooLarge, receive, reference_of
from imagen_nb.simulator.ledger import Entry, Ledger, WallClock
from imagen_nb.simulator.prices import charge

PICTURE_TOKENS = 258
"""A picture counts as so many tokens of what a text model is asked."""

MEDIA = {"jpg": "image/jpeg", "png": "image/png", "webp": "image/webp"}
# Each picture takes several times its size while it is painted, so that many at once would fill the memory.
_PAINTERS = threading.BoundedSemaphore(2)


class Paint(Protocol):
    """Makes one picture: the bytes of a file of that size and format ("jpg", "png" or "webp").

    The words are the prompt, the model's name and the other inputs; `variation` tells one picture of the same words
    from the next, and `references`, where there are any, are the pictures among the inputs. The same arguments give the
    same bytes.
    """

    def __call__(
        self,
        width: int,
        height: int,
        fmt: str,
        *,
        prompt: str,
        model: str,
        params: Mapping[str, Any],
        variation: str,
        references: Sequence[Reference] = (),
    ) -> bytes: ...


class Service:
    """Answers requests from a ledger, the uploads and a catalogue; thread-safe.

    `origin` is what outputs' URLs begin with.
    `creates_per_minute` and `burst` are its rate limit, None for none.
    """

    def __init__(
        self,
        ledger: Ledger,
        files: Files,
        models: Mapping[str, Model],
        paint: Paint,
        answer: Answer = answer,
        *,
        origin: str,
        wall: WallClock,
        token: str | None = None,
        seed: int = 0,
        creates_per_minute: float | None = None,
        burst: int = 1,
    ) -> None:
        self.ledger, self.files, self.wall = ledger, files, wall
        self._models, self._paint, self._answer = models, paint, answer
        self._origin, self._token, self._seed = origin, token, seed
        self._versions = {model.version_id: model for model in models.values()}
        self._creates_per_minute, self._burst = creates_per_minute, burst
        self._lock, self._meter = threading.Lock(), Meter()

    def answer(self, request: ServerRequest) -> ServerResponse:
        """The response to one request."""
        method = "GET" if request.method == "HEAD" else request.method
        matches = [(route, match) for route in _ROUTES if (match := route.pattern.fullmatch(request.path))]
        route, match = next((each for each in matches if each[0].method == method), (None, None))
        if route is None or match is None:
            if not matches:
                return bodies.not_found()
            allowed = ", ".join(sorted({route.method for route, _ in matches}))
            return bodies.problem(405, "The method is not allowed here.", headers=(("Allow", allowed),))
        given = request.headers.get("authorization", "")
        if (
            route.is_api
            and self._token is not None
            and not hmac.compare_digest(given.encode(), f"Bearer {self._token}".encode())
        ):
            return bodies.problem(401, "You did not pass a valid authentication token", "Unauthenticated")
        if route.is_create and self._creates_per_minute:
            with self._lock:
                self._meter, wait = self._meter.take(self._creates_per_minute, self._burst, self.ledger.clock())
            if wait:
                return bodies.too_many_requests(wait, self._creates_per_minute, self._burst)
        try:
            return route.answer(self, request, **match.groupdict())
        except Refusal as refusal:
            return refusal.response

    def prediction(self, entry: Entry, *, is_embedded: bool = False) -> dict[str, Any]:
        """The prediction as the API shows it at this moment; its outputs are addresses, or `data:` URIs."""
        now = self.ledger.clock()
        is_done = entry.status(now) == "succeeded"
        outputs = [self._origin + path for path in _paths(entry)]
        if is_embedded and is_done:
            outputs = [self._data_uri(entry, index) for index in range(len(outputs))]
        if entry.model.output == "text":
            outputs = re.findall(r"\S+\s*", self._text(entry)) if is_done else []
        return bodies.prediction(
            entry, now, self.wall, outputs, self._origin, counts=self._counts(entry) if is_done else {}
        )

    def bills(self) -> list[dict[str, Any]]:
        """What is owed for each prediction that has ended and is billed, in US dollars, by the published rules."""
        now = self.ledger.clock()
        return [
            {"id": entry.id, "model": entry.model.name, "usd": self._charge(entry)}
            for entry in self.ledger.entries()
            if entry.is_billed(now)
        ]

    def _charge(self, entry: Entry) -> float:
        given, seconds = [each.size for each in entry.pictures], entry.ended - entry.started
        metrics = {"predict_time": seconds, **self._counts(entry)}
        return charge(entry.model.price, entry.input, made=entry.sizes, given=given, metrics=metrics)

    def _counts(self, entry: Entry) -> dict[str, float]:
        """What the metrics of a prediction say beside its time: its pictures, or its tokens, of four letters each."""
        filled = entry.input
        if entry.model.output != "text":
            return {"image_count": entry.model.pictures(filled)}
        asked = len(str(filled.get("prompt", ""))) // 4 + PICTURE_TOKENS * len(entry.pictures) + 1
        return {"input_token_count": asked, "output_token_count": len(self._text(entry)) // 4 + 1}

    def _text(self, entry: Entry) -> str:
        """What a text model says."""
        filled = entry.input
        params = {name: value for name, value in filled.items() if name != "prompt"}
        prompt, name = str(filled.get("prompt", "")), entry.model.name
        return self._answer(prompt, model=name, params=params, references=entry.pictures)

    # -- creating ---------------------------------------------------------------------------------------------

    def create_by_model(self, request: ServerRequest, owner: str, name: str) -> ServerResponse:
        return self._create(request, self._model(owner, name), body_of(request, CREATE_KEYS))

    def create_by_version(self, request: ServerRequest) -> ServerResponse:
        """The version is `owner/name`, `owner/name:hex` or the version's id alone."""
        body = body_of(request, CREATE_KEYS | {"version"})
        named, _, version = str(body.get("version", "")).rpartition(":")
        if version in self._models:
            return self._create(request, self._models[version], body)
        model = self._versions.get(version)
        if model is None or named not in ("", model.name):
            detail = "The specified version does not exist (or perhaps you don't have permission to use it?)"
            return bodies.problem(422, detail, "Invalid version or not permitted")
        return self._create(request, model, body, version)

    def _create(
        self, request: ServerRequest, model: Model, body: Mapping[str, Any], version: str | None = None
    ) -> ServerResponse:
        """Check, create, and answer at once, or when the prediction has ended or the hold asked for is over."""
        if problems := model.problems(body["input"]):
            return bodies.invalid_input(problems)
        given, after = dict(body["input"]), cancel_after(request)
        references: dict[str, list[Reference]] = {}
        trouble = None
        try:
            for name in sorted(model.file_inputs & given.keys()):
                listed = given[name] if isinstance(given[name], list) else [given[name]]
                found = [self._read_file(uri) for uri in listed]
                uris = [uri for uri, _ in found]
                given[name] = uris if isinstance(given[name], list) else uris[0]
                references[name] = [each for _, each in found if each is not None]
        except ValueError as error:
            trouble = str(error)
        entry = self.ledger.create(
            model, given, version=version, cancel_after=after, references=references, trouble=trouble
        )
        hold = hold_of(request)
        if hold is None:
            return bodies.as_json(self.prediction(entry, is_embedded=needs_data(request)), 201)
        is_over = self.ledger.wait(entry, hold.seconds)
        applied = (("Preference-Applied", hold.text),)
        return bodies.as_json(self.prediction(entry, is_embedded=needs_data(request)), 201 if is_over else 202, applied)

    def _read_file(self, uri: str) -> tuple[str, Reference | None]:
        """The address as it is echoed, and the picture there; what a `data:` URI holds is kept as an upload.

        Nothing is fetched from elsewhere: there the picture is None. Raises `ValueError` for what is not to be had.
        """
        if uri.startswith("data:"):
            stored = self.files.add_data(uri)
            return self.file_page(stored)["urls"]["get"], stored.reference
        path = uri.removeprefix(self._origin)
        if path == uri:
            return uri, None
        route, match = next(
            ((r, m) for r in _ROUTES if r.method == "GET" and (m := r.pattern.fullmatch(path))), (None, None)
        )
        if match is not None and "file_id" in match.groupdict() and (kept := self.files.get(match["file_id"])):
            return uri, kept.reference
        if route is not None and route.answer is Service.file:
            response = self.answer(ServerRequest("GET", path, {}, {}))
            if response.status == HTTPStatus.OK:
                return uri, reference_of(io.BytesIO(response.body), hashlib.sha256(response.body).hexdigest())
        raise ValueError(f"Failed to download {uri}: 404 Not Found")

    # -- uploads ----------------------------------------------------------------------------------------------

    def upload(self, request: ServerRequest) -> ServerResponse:
        try:
            stored = receive(self.files, request.read, request.headers.get("content-type", ""))
        except TooLarge:
            return bodies.problem(413, "The file is too large: the limit is 100 MB.")
        except ValueError as error:
            return bodies.problem(400, f"The upload cannot be read: {error}.")
        return bodies.as_json(self.file_page(stored), 201)

    def uploads(self, _request: ServerRequest) -> ServerResponse:
        results = [self.file_page(each) for each in self.files.list()]
        return bodies.as_json({"previous": None, "next": None, "results": results})

    def file_page(self, stored: StoredFile) -> dict[str, Any]:
        """An upload as the API shows it."""
        return bodies.file_page(stored, self.wall, self.files.expires(stored), self._origin)

    def uploaded(self, _request: ServerRequest, file_id: str) -> ServerResponse:
        stored = self.files.get(file_id)
        return bodies.not_found() if stored is None else bodies.as_json(self.file_page(stored))

    def drop_upload(self, _request: ServerRequest, file_id: str) -> ServerResponse:
        return ServerResponse(204, b"") if self.files.delete(file_id) else bodies.not_found()

    # -- all else ---------------------------------------------------------------------------------------------

    def get(self, request: ServerRequest, prediction_id: str) -> ServerResponse:
        return bodies.as_json(self.prediction(self._entry(prediction_id), is_embedded=needs_data(request)))

    def cancel(self, request: ServerRequest, prediction_id: str) -> ServerResponse:
        entry = self.ledger.cancel(self._entry(prediction_id))
        return bodies.as_json(self.prediction(entry, is_embedded=needs_data(request)))

    def stream(self, _request: ServerRequest, prediction_id: str) -> ServerResponse:
        """The events of a prediction, all at once when it has ended."""
        entry = self._entry(prediction_id)
        self.ledger.wait(entry, LONGEST_HOLD_S)
        return bodies.events(self.prediction(entry, is_embedded=True))

    def page(self, request: ServerRequest) -> ServerResponse:
        span = {name: text for name, text in request.query.items() if name in ("created_after", "created_before")}
        try:
            entries, cursor = self.ledger.page(
                self.wall,
                cursor=request.query.get("cursor"),
                since_ms=unix_ms(span["created_after"]) if "created_after" in span else -math.inf,
                before_ms=unix_ms(span["created_before"]) if "created_before" in span else math.inf,
            )
        except ValueError:
            return bodies.problem(400, "The cursor or a time in the query cannot be read.")
        following = None
        if cursor is not None:
            following = f"{self._origin}/v1/predictions?{urlencode({**span, 'cursor': cursor})}"
        results = [self.prediction(entry) for entry in entries]
        return bodies.as_json({"previous": None, "next": following, "results": results})

    def account(self, _request: ServerRequest) -> ServerResponse:
        return bodies.as_json({"type": "user", "username": "simulator", "name": "Simulator", "github_url": None})

    def models(self, _request: ServerRequest) -> ServerResponse:
        results = [bodies.model_page(model) for model in self._models.values()]
        return bodies.as_json({"previous": None, "next": None, "results": results})

    def model(self, _request: ServerRequest, owner: str, name: str) -> ServerResponse:
        return bodies.as_json(bodies.model_page(self._model(owner, name)))

    def versions(self, _request: ServerRequest, owner: str, name: str) -> ServerResponse:
        results = [bodies.version_page(self._model(owner, name))]
        return bodies.as_json({"previous": None, "next": None, "results": results})

    def version(self, _request: ServerRequest, owner: str, name: str, version: str) -> ServerResponse:
        model = self._model(owner, name)
        return bodies.as_json(bodies.version_page(model)) if version == model.version_id else bodies.not_found()

    def file(self, request: ServerRequest, prediction_id: str, index: str, extension: str) -> ServerResponse:
        """One picture, painted when it is asked for."""
        entry, now = self._entry(prediction_id), self.ledger.clock()
        is_there = entry.status(now) == "succeeded" and now < entry.ended + bodies.KEPT_S
        if not is_there or request.path not in _paths(entry):
            return bodies.not_found()
        return ServerResponse(200, self._picture(entry, int(index)), MEDIA[extension], (("Cache-Control", "no-store"),))

    def _data_uri(self, entry: Entry, index: int) -> str:
        media = MEDIA[entry.model.extension(entry.input)]
        return f"data:{media};base64,{base64.b64encode(self._picture(entry, index)).decode()}"

    def _picture(self, entry: Entry, index: int) -> bytes:
        """One picture of a prediction. A `seed` among the inputs decides it, as it does for a model."""
        filled, model = entry.input, entry.model
        files = {name: " ".join(each.sha256[:8] for each in some) for name, some in entry.references.items()}
        more: Any = {"references": entry.pictures} if entry.pictures else {}
        chosen = f"seed {filled['seed']}" if "seed" in filled else f"{self._seed}/{entry.number}"
        with _PAINTERS:
            return self._paint(
                *entry.sizes[index],
                model.extension(filled),
                prompt=str(filled.get("prompt", "")),
                model=model.name,
                params={name: value for name, value in (filled | files).items() if name != "prompt"},
                variation=f"{chosen}/{index}",
                **more,
            )

    def front(self, _request: ServerRequest) -> ServerResponse:
        text = "The simulator of imagen_nb: a local stand-in for the API, which makes up its pictures.\n"
        return ServerResponse(200, text.encode(), "text/plain; charset=utf-8")

    def _entry(self, prediction_id: str) -> Entry:
        """The prediction with that id. Raises `Refusal` where there is none."""
        entry = self.ledger.get(prediction_id)
        if entry is None:
            raise Refusal(bodies.not_found())
        return entry

    def _model(self, owner: str, name: str) -> Model:
        """The model of that name. Raises `Refusal` where there is none."""
        model = self._models.get(f"{owner}/{name}")
        if model is None:
            raise Refusal(bodies.not_found())
        return model


def _paths(entry: Entry) -> list[str]:
    """The paths of the files that a prediction makes."""
    filled, model = entry.input, entry.model
    extension = model.extension(filled)
    return [f"/files/{entry.id}/{index}.{extension}" for index in range(model.pictures(filled))]


@dataclass(frozen=True)
class Route:
    """Which method answers a path. Those of the API ask for the token."""

    method: str
    pattern: re.Pattern[str]
    answer: Callable[..., ServerResponse]
    is_api: bool = True
    is_create: bool = False


def _route(method: str, path: str, answer: Callable[..., ServerResponse]) -> Route:
    """`{word}` in a path stands for one segment of it."""
    parts = {"prediction_id": "[0-9a-z]{26}", "index": r"\d{1,2}", "extension": "jpg|png|webp", "version": "[0-9a-f]+"}
    pattern = re.sub(r"\\\{(\w+)\\\}", lambda m: f"(?P<{m[1]}>{parts.get(m[1], '[^/]+')})", re.escape(path))
    return Route(method, re.compile(pattern), answer)


_ROUTES = (
    replace(_route("POST", "/v1/models/{owner}/{name}/predictions", Service.create_by_model), is_create=True),
    replace(_route("POST", "/v1/predictions", Service.create_by_version), is_create=True),
    _route("GET", "/v1/predictions/{prediction_id}", Service.get),
    _route("POST", "/v1/predictions/{prediction_id}/cancel", Service.cancel),
    # Clients send no token to where events come from: who knows the id may have them.
    replace(_route("GET", "/v1/predictions/{prediction_id}/stream", Service.stream), is_api=False),
    _route("GET", "/v1/predictions", Service.page),
    _route("POST", "/v1/files", Service.upload),
    _route("GET", "/v1/files", Service.uploads),
    _route("GET", "/v1/files/{file_id}", Service.uploaded),
    _route("DELETE", "/v1/files/{file_id}", Service.drop_upload),
    _route("GET", "/v1/account", Service.account),
    _route("GET", "/v1/models", Service.models),
    _route("GET", "/v1/models/{owner}/{name}", Service.model),
    _route("GET", "/v1/models/{owner}/{name}/versions", Service.versions),
    _route("GET", "/v1/models/{owner}/{name}/versions/{version}", Service.version),
    replace(_route("GET", "/files/{prediction_id}/{index}.{extension}", Service.file), is_api=False),
    replace(_route("GET", "/", Service.front), is_api=False),
)


# -- what came in: one request, and what its headers, query and body ask for -------------------------------------------

CREATE_KEYS = frozenset({"input", "stream", "webhook", "webhook_completed", "webhook_events_filter"})
LONGEST_HOLD_S = 60
_OFFICIAL = re.compile(r"replicate-(python|javascript)/")
_HOLD = re.compile(r"(?:^|,)\s*(wait(?:=(\d{1,6}))?)\s*(?=,|;|$)", re.IGNORECASE)
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|[smh]))+|\d+(?:\.\d+)?")
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[smh])?")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "": 1.0}
_TIME = re.compile(
    r"(?P<day>\d{4}-\d\d-\d\d)(?:[T ](?P<clock>\d\d:\d\d:\d\d)(?P<fraction>\.\d{1,9})?)?(?P<zone>Z|[ +-]\d\d:?\d\d)?"
)


@dataclass(frozen=True)
class ServerRequest:
    """One request as it came in. Names of headers are in lower case; `query` has the first value of each name.

    `read` gives the next bytes of an upload, at most so many.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = b""
    read: Callable[[int], bytes] = field(default=lambda _: b"", repr=False)


def is_upload(request: ServerRequest) -> bool:
    """Whether its body is to be read piece by piece."""
    return (request.method, request.path) == ("POST", "/v1/files")


@dataclass(frozen=True)
class Hold:
    """How long a create is to be held open; `text` is the preference as it was given."""

    seconds: float
    text: str


class Refusal(Exception):  # noqa: N818 - it carries a response, and is none of the user's errors
    """Ends a request with this response."""

    def __init__(self, response: ServerResponse) -> None:
        super().__init__(response.status)
        self.response = response


def body_of(request: ServerRequest, keys: frozenset[str]) -> Mapping[str, Any]:
    """The body of a create: an object with an `input` object and no key that the service would refuse."""

    def refuse_constant(name: str) -> NoReturn:
        raise ValueError(f"{name} is no JSON")

    def read_float(text: str) -> float:
        number = float(text)
        if not math.isfinite(number):
            raise ValueError(f"{text} is too large")
        return number

    try:
        body = json.loads(request.body, parse_constant=refuse_constant, parse_float=read_float)
    except (ValueError, RecursionError):
        raise Refusal(bodies.problem(400, "The request body is not valid JSON.")) from None
    if not isinstance(body, dict):
        raise Refusal(bodies.invalid_input([Problem("invalid_type", "(root)", "Invalid type. Expected: object")]))
    problems = [
        Problem("additional_property_not_allowed", "(root)", f"Additional property {key} is not allowed")
        for key in body
        if key not in keys
    ]
    if not isinstance(body.get("input"), dict):
        problems.append(Problem("required", "(root)", "input is required, and is an object"))
    if problems:
        raise Refusal(bodies.invalid_input(problems))
    return body


def needs_data(request: ServerRequest) -> bool:
    """Whether the outputs are to be `data:` URIs: the service's own clients make files of these and of `https:` alone.

    This server has no certificate, so it cannot give them the latter.
    """
    return _OFFICIAL.match(request.headers.get("user-agent", "")) is not None


def hold_of(request: ServerRequest) -> Hold | None:
    """What `Prefer: wait` or `Prefer: wait=N` asks for, at most a minute; None without it."""
    asked = _HOLD.search(request.headers.get("prefer", ""))
    if asked is None:
        return None
    return Hold(min(LONGEST_HOLD_S, max(1, int(asked[2] or LONGEST_HOLD_S))), asked[1])


def cancel_after(request: ServerRequest) -> float:
    """Seconds of a `Cancel-After` header such as `600s`, `1m` or `1h30m`; a bare number counts seconds."""
    text = request.headers.get("cancel-after")
    if text is None:
        return math.inf
    if not _DURATION.fullmatch(text.strip()):
        detail = f"Cancel-After must be a duration such as 90s, 1m or 1h30m, not {text!r}."
        raise Refusal(bodies.problem(422, detail, "Invalid header"))
    return sum(float(number) * _UNITS[unit] for number, unit in _DURATION_PART.findall(text))


def unix_ms(text: str) -> float:
    """Unix time in milliseconds of an ISO 8601 text. Raises `ValueError` when it is not one."""
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError(f"not a time: {text!r}")
    # A + that was not quoted arrives as a space.
    zone = (match["zone"] or "Z").replace("Z", "+0000").replace(" ", "+").replace(":", "")
    whole = datetime.strptime(f"{match['day']}T{match['clock'] or '00:00:00'}{zone}", "%Y-%m-%dT%H:%M:%S%z")
    return whole.timestamp() * 1000 + float(match["fraction"] or 0) * 1000


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
