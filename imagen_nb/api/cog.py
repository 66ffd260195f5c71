"""A model on one's own machine, behind Cog's HTTP server: the container in which the API's own models are built.

It has one model and asks for no money. `PUT /predictions/{an id of ours}` is held until the prediction ends, and put
again while it runs it makes no second one; afterwards it is forgotten. So whatever is lost is put again, and there is
nothing to look up: no list, no GET. While it is at work, by default on one prediction at a time, it answers others with
409. Seen with cog 0.23.1.
"""

from __future__ import annotations

import math
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from http import HTTPStatus
from typing import Any

from imagen_nb.api.client import LOOK_S, Api, segment
from imagen_nb.api.http import Http
from imagen_nb.api.pace import AT_ONCE_S, LOCAL_CREATES, LOCAL_OTHERS, Pacer
from imagen_nb.api.replies import parse
from imagen_nb.errors import (
    NotFoundError,
    ProviderError,
    RejectedError,
    ThrottledError,
    UncertainError,
    UnreachableError,
)
from imagen_nb.planning.inputs import mapping_or_empty
from imagen_nb.records import Prediction, Request, Status
from imagen_nb.settings import Provider

ASK_S = 5.0
"""How long asking a base URL what it is may take, in seconds."""

RESTART_S = 120.0
"""For how long a server that has answered may be away, while it is started anew, in seconds."""

TURN_S, PAUSE_S = 1.0, 0.5
"""How long one waits at most for a prediction of ours to end before trying whether there is room, and between two puts
of one that is running or lost, in seconds."""

UNNAMED = "local"
"""What a model without a title is called."""


def open_api(provider: Provider) -> Api:
    """The API of a provider; one that was given as a URL is asked once whether it is a Cog server.

    Where nobody answers the API `is_provisional`, and is better opened again.
    """
    if not provider.is_given_as_url:
        return Api(Http(provider))
    http = Http(provider, pacer=_Unpaced(LOCAL_CREATES, LOCAL_OTHERS))

    def ask(path: str) -> Mapping[str, Any]:
        """One reply; as with a create no failure is outwaited."""
        return http.send("GET", path, deadline=time.monotonic() + AT_ONCE_S, create=True, patience=ASK_S).body  # type: ignore[no-any-return] # JSON

    schema: Mapping[str, Any] | None = None
    is_cog = is_silent = False
    try:
        schema = ask("/openapi.json")
        # The service's own specification has that path too, but one may list there.
        posts = mapping_or_empty(mapping_or_empty(schema.get("paths")).get("/predictions"))
        is_cog = "post" in posts and "get" not in posts
    except UnreachableError:
        is_silent = True
    except ProviderError as error:
        if error.status == HTTPStatus.SERVICE_UNAVAILABLE:
            with suppress(ProviderError):
                is_cog = "predictions_url" in ask("/")  # it has no schema, or not yet
                is_silent = is_cog and ask("/health-check").get("status") == "STARTING"
    if is_cog:
        api: Api = CogApi(http, schema)
    else:
        http.close()
        api = Api(Http(provider))
    api.is_provisional = is_silent
    return api


class _Unpaced(Pacer):
    """Lets a refusal out at once: what is at capacity has room when a prediction ends, at no rate."""

    def note_refusal(self, retry_after: float | None, create: bool, *, asked_at: float = math.inf) -> float:  # noqa: ARG002 - Pacer's
        return math.inf


class CogApi(Api):
    """The one model of a Cog server. `schema` is its OpenAPI document, or None where it has none."""

    takes_own_ids = True

    def __init__(self, http: Http, schema: Mapping[str, Any] | None) -> None:
        super().__init__(http)
        self.uploads.are_offered = False
        title = mapping_or_empty(mapping_or_empty(schema).get("info")).get("title") or ""
        self.only_model = re.sub(r"[^\w.-]+", "-", str(title), flags=re.ASCII).strip("-.")[:80] or UNNAMED
        self._schema = schema
        self._room = threading.Condition()
        self._has_answered = False

    def create(
        self,
        request: Request,
        *,
        run_id: str | None = None,
        deadline: float,
        patience: float | None = None,
        hold: int | None = None,  # noqa: ARG002 - it is held in any case
        cancel_after: float | None = None,
        stop: threading.Event | None = None,
        on_turn: Callable[[float], object] = lambda _: None,
    ) -> Prediction:
        """Put one prediction, under the run's id, and give it when it has ended; one that was lost is put again.

        It waits for room until the monotonic `deadline`, which `ThrottledError` says, and is canceled `cancel_after`
        seconds after its turn. Raises `UncertainError` or `UnreachableError` where the server stays away.
        """
        path = self._path(request.model, str(run_id))
        longest = cancel_after or patience or math.inf
        over, away_since = math.inf, math.inf

        def note_turn(at: float) -> None:
            nonlocal over
            over = min(over, at + longest)
            on_turn(at)

        while True:
            now = time.monotonic()
            try:
                reply = self._http.send(
                    "PUT",
                    path,
                    json={"input": dict(request.input)},
                    deadline=max(deadline, now + TURN_S),
                    create=True,
                    stop=stop,
                    patience=min(over, now + longest) - now,
                    on_turn=note_turn,
                )
            except ThrottledError:
                if time.monotonic() >= deadline:
                    raise
                over = math.inf
                with self._room:
                    self._room.wait(TURN_S)
                continue
            except (UncertainError, UnreachableError):
                now = time.monotonic()
                away_since = min(away_since, now)
                if now >= over:
                    return self._give_up(str(run_id), longest)
                if not self._may_come_back(now - away_since, stop):
                    raise
            else:
                prediction, away_since, self._has_answered = parse(reply.body), math.inf, True
                if prediction.status.is_terminal:
                    with self._room:
                        self._room.notify()
                    return self._timed(prediction, over - longest)
            time.sleep(PAUSE_S)

    def get(self, prediction_id: str, *, deadline: float, stop: threading.Event | None = None) -> Prediction:  # noqa: ARG002 - Api's
        """Raises `NotFoundError`: such a server says how a prediction ended to who put it, and to nobody later."""
        raise NotFoundError(f"the server does not keep predictions, {prediction_id} neither", "Make it again.")

    def cancel(self, prediction_id: str, *, deadline: float) -> Prediction | None:
        """Ask the server to stop a prediction; None where it is not at it (any more)."""
        path = f"/predictions/{segment(prediction_id)}/cancel"
        try:
            self._http.send("POST", path, deadline=deadline, patience=LOOK_S)
        except NotFoundError:
            return None
        return Prediction(prediction_id, Status.CANCELED, error="canceled", error_code="canceled")

    def list(
        self,
        *,
        created_after: datetime | None = None,  # noqa: ARG002 - Api's
        created_before: datetime | None = None,  # noqa: ARG002 - Api's
        deadline: float,  # noqa: ARG002 - Api's
        pages: int = 20,  # noqa: ARG002 - Api's
        stop: threading.Event | None = None,  # noqa: ARG002 - Api's
    ) -> Iterator[Prediction]:
        """Raises `NotFoundError`."""
        raise NotFoundError("the server does not list predictions", "What was lost there is put again.")

    def schema(self, model: str, *, deadline: float) -> Mapping[str, Any] | None:  # noqa: ARG002 - Api's
        """The server's OpenAPI document, for its one model."""
        return self._schema if model == self.only_model else None

    def _path(self, model: str, run_id: str) -> str:
        """Where to put a prediction. Raises `RejectedError` for one of another model."""
        if model != self.only_model:
            raise RejectedError(f"this server has one model, {self.only_model}, and not {model}", "Name none.")
        return f"/predictions/{segment(run_id)}"

    def _may_come_back(self, away_s: float, stop: threading.Event | None) -> bool:
        """Whether a server that was there is waited for, that long after it went away."""
        is_stopped = stop is not None and stop.is_set()
        return self._has_answered and away_s <= RESTART_S and not is_stopped

    def _timed(self, prediction: Prediction, began: float) -> Prediction:
        """The prediction with the times that such a server does not tell, by our clock; it began at that moment."""
        seconds, now = time.monotonic() - began, datetime.now(timezone.utc)
        if prediction.created_at is not None or not 0 <= seconds < math.inf:
            return prediction
        return replace(prediction, created_at=now - timedelta(seconds=seconds), completed_at=now, total_s=seconds)

    def _give_up(self, run_id: str, seconds: float) -> Prediction:
        """The prediction whose time is over, canceled."""
        with suppress(ProviderError):
            self.cancel(run_id, deadline=time.monotonic() + PAUSE_S + TURN_S)
        with self._room:
            self._room.notify()
        return Prediction(run_id, Status.CANCELED, error=f"gave up after {seconds:g} s", error_code="timeout")
