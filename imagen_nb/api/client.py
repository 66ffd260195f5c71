"""The API's calls: create, get, cancel, list, and a model's schema.

Paths are built from the base URL and the id alone: the URLs in a reply point at a host whose token the user may not
have, and are never followed.
"""

from __future__ import annotations

import math
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from imagen_nb.api.http import PATIENCE_S, Http, is_page
from imagen_nb.api.pace import Pacer
from imagen_nb.api.replies import parse
from imagen_nb.api.transport import LATER_HINT
from imagen_nb.api.uploads import Uploads
from imagen_nb.errors import InputError, NotFoundError, UncertainError, did_you_mean
from imagen_nb.planning.models import catalogue_names, catalogue_spec
from imagen_nb.records import Prediction, Request

HELD_LONGER_S = 10.0
"""How much later than it was held open for the reply to a create may come, in seconds."""

LOOK_S = 20.0
"""How long one look at a prediction may take, in seconds."""

MOST_ACCEPTANCES = 20_000
"""No more creates than this are remembered, the newest ones."""

PATH = "/v1/predictions"
_VERSION = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Acceptance:
    """When an accepted create was sent and answered, on the monotonic clock, and when the provider says it was made."""

    sent_at: float
    answered_at: float
    created_at: datetime | None


class Api:
    """The predictions of one provider.

    `takes_own_ids` is True where a create is put under an id of ours, so that it may be put again. `only_model` is the
    name of the one model, for a provider that has only one. `is_provisional` tells that nobody has answered yet.
    """

    takes_own_ids = False
    only_model: str | None = None
    is_provisional = False

    def __init__(self, http: Http) -> None:
        self._http = http
        self.uploads = Uploads(http)
        """The files that its inputs may name."""
        self.pacer: Pacer = http.pacer
        """What paces these calls."""
        self.acceptances: dict[str, Acceptance] = {}
        """The creates that were accepted here, by prediction id: of nothing else the list is known to show it."""
        self._list_clock: tuple[datetime, float, datetime] | None = None

    def list_time(self, at: float) -> datetime | None:
        """What `created_at` is of a prediction made at the monotonic moment `at`, or a little less; None while unknown.

        That clock need not be the one of the Date header, which counts only until a create was accepted.
        """
        if self._list_clock is None:
            return self._http.provider_time(at)
        created_at, moment, _ = self._list_clock
        return created_at + timedelta(seconds=at - moment)

    @property
    def list_skew(self) -> float:
        """What the clock of `created_at` is ahead of ours, in seconds; 0.0 while unknown."""
        if self._list_clock is None:
            return self._http.clock_skew
        created_at, _, ours = self._list_clock
        return (created_at - ours).total_seconds()

    def create(
        self,
        request: Request,
        *,
        run_id: str | None = None,  # noqa: ARG002 - for a server that takes ids of ours
        deadline: float,
        patience: float | None = None,
        hold: int | None = None,
        cancel_after: float | None = None,
        stop: threading.Event | None = None,
        on_turn: Callable[[float], object] = lambda _: None,
    ) -> Prediction:
        """Ask for one prediction: this costs money, and is sent once.

        Its turn has to come by the monotonic `deadline`, and `on_turn` is told when it did; then the reply may take
        60 s, or `HELD_LONGER_S` more than it is held open for, and `patience` seconds at most. `hold` asks for an
        answer only when the prediction ends, at most so many seconds (1 to 60) later; `cancel_after` asks it to give up
        by itself after so many seconds. `stop` gives up a request that was not sent yet. Raises `UncertainError` where
        the prediction may or may not exist now; every other error means that it does not.
        """
        name, _, version = request.model.rpartition(":")
        if _VERSION.fullmatch(version):
            path, extra = PATH, {"version": version}
        elif (name or version) and request.model.count("/") == 1:
            path, extra = f"{_model_path(request.model)}/predictions", {}
        else:
            raise InputError(
                f"{request.model!r} is not a model's name", "It looks like owner/name, or owner/name:version."
            )
        headers = {}
        if hold:
            headers["Prefer"] = f"wait={min(60, max(1, hold))}"
        if cancel_after:
            headers["Cancel-After"] = f"{max(5, math.ceil(cancel_after))}s"
        longest = max(PATIENCE_S, hold + HELD_LONGER_S) if hold else PATIENCE_S
        turns: list[float] = []

        def note_turn(at: float) -> None:
            turns.append(at)
            on_turn(at)

        try:
            reply = self._http.send(
                "POST",
                path,
                json={**extra, "input": dict(request.input)},
                headers=headers,
                deadline=deadline,
                create=True,
                stop=stop,
                patience=longest if patience is None else min(patience, longest),
                on_turn=note_turn,
            )
        except NotFoundError as error:
            name = request.model.partition(":")[0]
            spec = catalogue_spec(name)
            if spec is None:
                error.hint = did_you_mean(name, catalogue_names(), error.hint)
            if spec is None or spec.retirement is None:
                raise
            said, how = spec.retirement
            raise NotFoundError(f"{error.message}: {said}", how, status=error.status, raw=error.raw) from None
        prediction = parse(reply.body)
        self._note_acceptance(prediction, turns[-1], time.monotonic())
        return prediction

    def get(self, prediction_id: str, *, deadline: float, stop: threading.Event | None = None) -> Prediction:
        """The prediction as it is now. Raises `UncertainError` for a reply that is about another one."""
        path = f"{PATH}/{segment(prediction_id)}"
        return _about(prediction_id, self._http.send("GET", path, deadline=deadline, stop=stop, patience=LOOK_S).body)

    def cancel(self, prediction_id: str, *, deadline: float) -> Prediction | None:
        """Ask the provider to stop a prediction; None where it cannot do that, or does not know the prediction."""
        path = f"{PATH}/{segment(prediction_id)}"
        try:
            reply = self._http.send("POST", f"{path}/cancel", deadline=deadline, patience=LOOK_S)
        except NotFoundError:
            return None
        except UncertainError as error:
            if is_page(error):
                return None
            if error.status is None or error.status >= 300:  # noqa: PLR2004 - not a success
                raise
        else:
            with suppress(UncertainError):
                return _about(prediction_id, reply.body)
        return self.get(prediction_id, deadline=deadline)  # canceled, and the reply does not show it

    def list(
        self,
        *,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        deadline: float,
        pages: int = 20,
        stop: threading.Event | None = None,
    ) -> Iterator[Prediction]:
        """Predictions, newest first; `created_after` is inclusive, `created_before` exclusive, `pages` the most pages.

        Raises `NotFoundError`, at the first step, where the provider does not list predictions, and `UncertainError`
        after the last page it could read where there are more: a part is never taken for the whole.
        """
        query = urlencode(
            {
                name: at.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
                for name, at in (("created_after", created_after), ("created_before", created_before))
                if at is not None
            }
        )
        queries: set[str] = set()
        while query not in queries and len(queries) < pages:
            queries.add(query)
            page = self._page(query, deadline, stop)
            for each in page["results"]:
                with suppress(UncertainError):  # an entry without an id is nobody's
                    if isinstance(each, Mapping):
                        yield parse(each)
            following = page.get("next")
            if not following:
                return
            # Of the next page's address only what it asks counts: it is asked of our own base URL.
            try:
                query = urlencode(parse_qsl(urlsplit(following).query, max_num_fields=20))
            except (ValueError, TypeError, AttributeError):
                break
            if not query:
                break
        raise UncertainError("the provider's list of predictions has no end within reach", LATER_HINT)

    def schema(self, model: str, *, deadline: float) -> Mapping[str, Any] | None:
        """The OpenAPI schema of a model, `owner/name` or `owner/name:version`; None where the provider has none."""
        name, _, version = model.partition(":")
        if "/" not in name:
            return None
        try:
            body = self._http.send("GET", _model_path(name), deadline=deadline, patience=LOOK_S).body
        except NotFoundError:
            return None
        except UncertainError as error:
            if is_page(error):
                return None
            raise
        latest = body.get("latest_version")
        if not isinstance(latest, Mapping) or (version and latest.get("id") != version):
            return None
        schema = latest.get("openapi_schema")
        return schema if isinstance(schema, Mapping) else None

    def close(self) -> None:
        """End the calls under way and close the connections."""
        self._http.close()

    def _note_acceptance(self, prediction: Prediction, sent_at: float, answered_at: float) -> None:
        """Remember the create, and what its prediction says of the clock of `created_at`.

        The prediction was made when it was answered at the latest. Of several, the one with the least delay says most,
        until one that was made before it was sent shows that the clock was set.
        """
        if len(self.acceptances) >= MOST_ACCEPTANCES:
            with suppress(KeyError, StopIteration, RuntimeError):  # another thread was quicker
                del self.acceptances[next(iter(self.acceptances))]
        created_at = prediction.created_at
        self.acceptances[prediction.id] = Acceptance(sent_at, answered_at, created_at)
        if created_at is None:
            return
        latest, earliest = self.list_time(answered_at), self.list_time(sent_at)
        is_new = self._list_clock is None or latest is None or earliest is None
        if is_new or latest < created_at or created_at < earliest - timedelta(seconds=1):  # type: ignore[operator] # is_new
            self._list_clock = (created_at, answered_at, datetime.now(timezone.utc))

    def _page(self, query: str, deadline: float, stop: threading.Event | None) -> Mapping[str, Any]:
        """One page of the list. Raises `NotFoundError` where what comes is none."""
        status = None
        try:
            body = self._http.send("GET", f"{PATH}?{query}" if query else PATH, deadline=deadline, stop=stop).body
        except UncertainError as error:
            if not is_page(error):
                raise
            body, status = {}, error.status
        if not isinstance(body.get("results"), list):
            raise NotFoundError(
                "the provider does not list predictions", "A lost reply cannot be looked for there.", status=status
            )
        return body  # type: ignore[no-any-return] # JSON


def _about(prediction_id: str, body: Mapping[str, Any]) -> Prediction:
    """The prediction in a reply to a question about this one."""
    found = parse(body)
    if found.id != prediction_id:
        raise UncertainError("the provider's reply is about another prediction", LATER_HINT)
    return found


def _model_path(model: str) -> str:
    return "/v1/models/" + "/".join(segment(part) for part in model.split("/"))


def segment(text: str) -> str:
    """One step of a path: whatever the text holds, it does not lead elsewhere."""
    if not text.strip("."):
        raise NotFoundError(f"there is no {text!r} at the provider", "Check the id or the model's name.")
    return quote(text, safe="")
