"""A raw-socket provider that answers like the real one, misbehaves on demand, and keeps the bill.

    with Origin(latency=0.1) as api:
        api.fault("create", after=[rst], times=1)      # billed, and the reply is lost
        api.fault("get", instead=[page(502)], chance=0.2)
        ...
        assert len(api.bills) == 1

Without faults it creates, gets, cancels, lists, describes models and serves real small pictures. `instead` plays a
script before anything was done, `after` does the work and plays the script in place of the reply. Several origins can
be given their parts: the API, the host that `urls.get` names (`links`), the host of the files (`files`). Every request
to each is kept in `seen`, headers and body.
"""

from __future__ import annotations

import io
import json
import random
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from acts import Act, Gone, Script, Wire, fin, reply, says
from PIL import Image

if TYPE_CHECKING:
    from typing_extensions import Self

ELSEWHERE = "https://api.replicate.com"
"""Where the real service's replies point, whoever passed them on."""

KINDS = {
    "create": r"POST /v1/(models/[^/]+/[^/]+/)?predictions$",
    "get": r"GET /v1/predictions/[^/]+$",
    "cancel": r"POST /v1/predictions/[^/]+/cancel$",
    "list": r"GET /v1/predictions$",
    "model": r"GET /v1/models/[^/]+/[^/]+$",
    "file": r"GET /files/.+$",
}
PAGE = 100
MOST_SEEN = 50_000
MOST_CONNECTIONS = 256


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as it arrived; header names in lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    raw: bytes = field(repr=False)
    at: float = field(default_factory=time.monotonic)

    @property
    def kind(self) -> str:
        """A key of `KINDS`, or "other"."""
        line = f"{self.method} {self.path}"
        return next((kind for kind, pattern in KINDS.items() if re.match(pattern, line)), "other")

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(slots=True)
class Bill:
    """One create that was processed, and so is to be paid."""

    id: str
    model: str
    version: str | None
    input: Mapping[str, Any]
    created_at: datetime
    created: float
    latency: float
    canceled: float | None = None

    @property
    def done_at(self) -> float:
        return self.created + self.latency

    @property
    def is_done(self) -> bool:
        return self.canceled is not None or time.monotonic() >= self.done_at


@dataclass(slots=True)
class Fault:
    kind: str
    instead: Script | Callable[[Seen], Script] | None
    after: Script | Callable[[Seen], Script] | None
    times: int | None
    skip: int
    chance: float
    dice: random.Random
    played: int = 0


class Limit:
    """A token bucket of the provider's, and the form in which its 429 says how long to wait."""

    def __init__(self, rate: float, burst: float, form: str) -> None:
        self.rate, self.burst, self.form = rate, burst, form
        self._tokens, self._at = burst, time.monotonic()

    def wait(self) -> float:
        """0 for one that passes, else the seconds until one would."""
        now = time.monotonic()
        self._tokens = min(self.burst, self._tokens + (now - self._at) * self.rate)
        self._at = now
        if self._tokens >= 1.0:
            self._tokens -= 1.0
            return 0.0
        return (1.0 - self._tokens) / self.rate


def throttle(seconds: float, form: str = "header") -> Act:
    """A 429 that asks to wait, in the "header", as a "date", in the "body", in the "text", or says "nothing"."""
    whole = max(1, round(seconds + 0.499))
    body: dict[str, Any] = {"detail": "Request was throttled.", "status": 429}
    headers: dict[str, str] = {"Date": format_datetime(_utc(), usegmt=True)}
    if form == "header":
        headers["Retry_After"] = str(whole)
    elif form == "date":
        headers["Retry_After"] = format_datetime(_utc() + timedelta(seconds=whole + 1), usegmt=True)
    elif form == "body":
        body["retry_after"] = whole
    elif form == "text":
        body["detail"] += f" Your rate limit is reduced to 6 requests per minute. It resets in ~{whole}s."
    return says(body, 429, **headers)


class Origin:
    """See the module. `latency` is seconds, or a function of the number of the create. A context manager."""

    def __init__(
        self,
        *,
        token: str | None = None,
        latency: float | Callable[[int], float] = 0.0,
        lists: bool = True,
        list_lag: float = 0.0,
        defaults: Mapping[str, Any] | None = None,
        answer: Callable[[Bill], Mapping[str, Any]] = lambda _: {},
        files: Origin | None = None,
        links: Origin | None = None,
        holds: bool = True,
        skew: float = 0.0,
        date_skew: float = 0.0,
        shows: Callable[[list[Bill]], list[Bill]] = lambda listed: listed,
        seed: int = 0,
        tls: Path | None = None,
    ) -> None:
        """`answer` overrides fields of a finished prediction; `defaults` are filled into the echoed input.

        The provider's clock is `skew` seconds ahead, that of its Date header `date_skew` more. `shows` makes what the
        list has of all that there is to list, the newest first.
        """
        self.token, self.latency, self.lists, self.list_lag = token, latency, lists, list_lag
        self.defaults, self.answer, self.holds, self.skew = dict(defaults or {}), answer, holds, skew
        self.date_skew, self.shows = date_skew, shows
        self.schemas: dict[str, Mapping[str, Any] | None] = {}
        self.seen: list[Seen] = []
        self.bills: list[Bill] = []
        self.faults: list[Fault] = []
        self._limits: dict[str, Limit] = {}
        self._seed, self._letters = seed, random.Random(seed)  # noqa: S311 - ids that are no secret
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._wires: set[Wire] = set()
        self._context = _tls_context(tls) if tls else None
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=MOST_CONNECTIONS)
        scheme = "https" if tls else "http"
        self.base_url = f"{scheme}://127.0.0.1:{self._listener.getsockname()[1]}"
        self.files_url = (files or self).base_url
        self.links_url = links.base_url if links else ELSEWHERE
        threading.Thread(target=self._accept, name="origin", daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening and end every connection."""
        self._ended.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            wires = list(self._wires)
        for wire in wires:
            fin(wire)

    # -- scripting -----------------------------------------------------------------------------------------------------

    def fault(
        self,
        kind: str,
        *,
        instead: Script | Callable[[Seen], Script] | None = None,
        after: Script | Callable[[Seen], Script] | None = None,
        times: int | None = None,
        skip: int = 0,
        chance: float = 1.0,
    ) -> None:
        """Play a script at requests of `kind` ("any" for all): `times` times, after `skip` of them, with a `chance`."""
        assert kind in {*KINDS, "other", "any"}, kind
        with self._lock:
            # Dice of its own: it meets the same requests each time, whatever else comes between them.
            dice = random.Random(f"{self._seed}/{len(self.faults)}")  # noqa: S311 - reproducible faults
            self.faults.append(Fault(kind, instead, after, times, skip, chance, dice))

    def heal(self) -> None:
        """No more faults."""
        with self._lock:
            self.faults.clear()

    def limit(self, kind: str, rate: float, burst: float = 1.0, form: str = "header") -> None:
        """Throttle requests of `kind` to `rate` a second from now on."""
        self._limits[kind] = Limit(rate, burst, form)

    # -- looking -------------------------------------------------------------------------------------------------------

    def of(self, kind: str) -> list[Seen]:
        """Every request of one kind."""
        return [each for each in self.seen if each.kind == kind]

    def bytes_seen(self) -> bytes:
        """Everything any client sent, to search for what should not be there."""
        return b"\n".join(each.raw for each in self.seen)

    def bill(self, prediction_id: str) -> Bill | None:
        return next((each for each in self.bills if each.id == prediction_id), None)

    # -- serving -------------------------------------------------------------------------------------------------------

    def _accept(self) -> None:
        while not self._ended.is_set():
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), name="origin-wire", daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        with suppress(OSError, Gone, ValueError), self._open_wire(sock) as wire, wire.sock.makefile("rb") as stream:
            while wire.is_open and (seen := _read(stream)):
                self._play(wire, seen)

    @contextmanager
    def _open_wire(self, sock: socket.socket) -> Iterator[Wire]:
        with sock:
            sock.settimeout(120.0)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            wire = Wire(self._context.wrap_socket(sock, server_side=True) if self._context else sock, self._ended)
            with self._lock:
                self._wires.add(wire)
            try:
                yield wire
            finally:
                with self._lock:
                    self._wires.discard(wire)
                wire.sock.close()

    def _play(self, wire: Wire, seen: Seen) -> None:
        if seen.path == "/openapi.json":  # what is it? A service, so this is none of the requests that tests count
            self._missing()(wire)
            return
        with self._lock:
            if len(self.seen) < MOST_SEEN:
                self.seen.append(seen)
            fault = self._fault_for(seen)
        script = fault.instead if fault else None
        if script is None:
            acts: Script = [self.respond(seen)]
            script = fault.after if fault else acts
        for act in script(seen) if callable(script) else script or ():
            act(wire)

    def _fault_for(self, seen: Seen) -> Fault | None:
        for fault in self.faults:
            if fault.kind not in ("any", seen.kind) or (fault.times is not None and fault.played >= fault.times):
                continue
            if fault.skip > 0:
                fault.skip -= 1
            elif fault.dice.random() < fault.chance:
                fault.played += 1
                return fault
        return None

    def respond(self, seen: Seen) -> Act:
        """Do what is asked, and give the reply to be sent."""
        if seen.kind == "file":
            return self._file(seen)
        if self.token is not None and seen.headers.get("authorization") != f"Bearer {self.token}":
            return self._says({"title": "Unauthenticated", "detail": "Invalid token.", "status": 401}, 401)
        limit = self._limits.get(seen.kind)
        if limit is not None:
            with self._lock:
                wait = limit.wait()
            if wait > 0:
                return throttle(wait, limit.form)
        verb = getattr(self, f"_{seen.kind}", None)
        return verb(seen) if verb else self._missing()

    def _create(self, seen: Seen) -> Act:
        body = seen.json()
        parts = seen.path.split("/")
        bill = self._bill_create(body, "/".join(parts[3:5]) if parts[2] == "models" else "")
        hold = re.fullmatch(r"wait(?:=(\d+))?", seen.headers.get("prefer", ""))
        headers = {}
        if hold and self.holds:
            most = time.monotonic() + float(hold[1] or 60)
            while not bill.is_done and time.monotonic() < most and not self._ended.is_set():
                self._ended.wait(min(0.02, max(0.0, bill.done_at - time.monotonic())))
            headers["Preference_Applied"] = seen.headers["prefer"]
        return self._says(self.prediction(bill), 201, **headers)

    def _bill_create(self, body: Mapping[str, Any], model: str) -> Bill:
        with self._lock:
            number = len(self.bills)
            bill = Bill(
                id=f"{number:06d}" + "".join(self._letters.choices("abcdefghjkmnpqrstvwxyz0123456789", k=20)),
                model=model or "some/model",
                version=body.get("version"),
                input=body["input"],
                created_at=_utc() + timedelta(seconds=self.skew),
                created=time.monotonic(),
                latency=self.latency(number) if callable(self.latency) else self.latency,
            )
            self.bills.append(bill)
        return bill

    def _get(self, seen: Seen) -> Act:
        bill = self.bill(seen.path.split("/")[3])
        return self._says(self.prediction(bill)) if bill else self._missing()

    def _cancel(self, seen: Seen) -> Act:
        bill = self.bill(seen.path.split("/")[3])
        if bill is None:
            return self._missing()
        if not bill.is_done:
            bill.canceled = time.monotonic()
        return self._says(self.prediction(bill))

    def _list(self, seen: Seen) -> Act:
        if not self.lists:
            return self._missing()
        query = {name: values[-1] for name, values in parse_qs(seen.query).items()}
        until = time.monotonic() - self.list_lag
        listed = [bill for bill in reversed(self.bills) if bill.created <= until and _is_within(bill, query)]
        listed = self.shows(listed)
        start = int(query.get("cursor", "0"))
        following = None
        if start + PAGE < len(listed):
            rest = "".join(f"&{name}={value}" for name, value in query.items() if name != "cursor")
            following = f"{self.links_url}/v1/predictions?cursor={start + PAGE}{rest.replace('+', '%2B')}"
        results = [self.prediction(bill) for bill in listed[start : start + PAGE]]
        return self._says({"next": following, "previous": None, "results": results})

    def _model(self, seen: Seen) -> Act:
        owner, name = seen.path.split("/")[3:5]
        if f"{owner}/{name}" not in self.schemas:
            return self._missing()
        schema = self.schemas[f"{owner}/{name}"]
        return self._says({"owner": owner, "name": name, "latest_version": schema and {"openapi_schema": schema}})

    def _file(self, seen: Seen) -> Act:
        kind = "PNG" if seen.path.endswith(".png") else "JPEG"
        return reply(picture(kind, seed=hash(seen.path) % 4096), content_type=f"image/{kind.lower()}")

    def _missing(self) -> Act:
        return self._says({"detail": "The requested resource could not be found.", "status": 404}, 404)

    def _says(self, value: Any, status: int = 200, **headers: str) -> Act:
        date = format_datetime(_utc() + timedelta(seconds=self.skew + self.date_skew), usegmt=True)
        return says(value, status, **{"Date": date, **headers})

    def prediction(self, bill: Bill) -> dict[str, Any]:
        """The API's object for one bill, as it is now."""
        asked = {**self.defaults, **bill.input}
        shown: dict[str, Any] = {
            "id": bill.id,
            "model": bill.model,
            "version": bill.version or "hidden",
            "input": dict(sorted(asked.items())),
            "logs": "",
            "output": None,
            "data_removed": False,
            "error": None,
            "status": "starting",
            "created_at": _iso(bill.created_at),
            "urls": {
                "get": f"{self.links_url}/v1/predictions/{bill.id}",
                "cancel": f"{self.links_url}/v1/predictions/{bill.id}/cancel",
                "stream": f"{self.links_url}/v1/files/{bill.id}",
            },
        }
        return {**shown, **self._progress(bill, str(asked.get("output_format", "jpg")))}

    def _progress(self, bill: Bill, suffix: str) -> dict[str, Any]:
        age = (time.monotonic() if bill.canceled is None else bill.canceled) - bill.created
        started = {"started_at": _iso(bill.created_at + timedelta(seconds=bill.latency / 10))}
        if bill.canceled is not None:
            return {"status": "canceled", "completed_at": _iso(bill.created_at + timedelta(seconds=age))}
        if not bill.is_done:
            return {"status": "processing", **started} if age > bill.latency / 10 else {}
        return {
            "status": "succeeded",
            "output": f"{self.files_url}/files/{bill.id}.{'png' if suffix == 'png' else 'jpg'}",
            **started,
            "completed_at": _iso(bill.created_at + timedelta(seconds=bill.latency)),
            "metrics": {"predict_time": 0.9 * bill.latency, "total_time": bill.latency, "image_count": 1},
            **self.answer(bill),
        }


@cache
def picture(kind: str = "JPEG", size: tuple[int, int] = (64, 64), seed: int = 0) -> bytes:
    """A real picture, a gradient of a colour that the seed chooses."""
    red, green, blue = (seed * 37) % 256, (seed * 101) % 256, (seed * 173) % 256
    image = Image.linear_gradient("L").resize(size)
    coloured = Image.merge("RGB", [image.point(lambda v, c=c: (v + c) % 256) for c in (red, green, blue)])
    file = io.BytesIO()
    coloured.save(file, kind)
    return file.getvalue()


def _read(stream: Any) -> Seen | None:
    """The next request on a connection, or None at its end."""
    raw = b""
    if not stream.peek(1)[:1].isalpha():
        return None
    while not raw.endswith(b"\r\n\r\n"):
        line = stream.readline(65537)
        if not line:
            return None
        raw += line
    first, *lines = raw.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
    body = stream.read(int(headers.get("content-length", "0")))
    parts = urlsplit(target)
    return Seen(method, parts.path, parts.query, headers, body, raw + body)


def _is_within(bill: Bill, query: Mapping[str, str]) -> bool:
    at = _iso(bill.created_at)
    return query.get("created_after", "") <= at < query.get("created_before", "9")


def _iso(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _utc() -> datetime:
    return datetime.now(timezone.utc)


def _tls_context(pem: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context
