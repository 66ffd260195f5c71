"""Refusals, odd replies and replies that never come whole: each row ends as it should, and says why."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
import sqlalchemy as sa
from acts import Act, Script, cut, drip, page, reply, rst, says
from ledger import books, until
from origin import Origin, Seen

from imagen_nb.api import client, downloads
from imagen_nb.errors import AuthenticationError, CreditError, ProviderError, RejectedError
from imagen_nb.log.schema import replies
from imagen_nb.records import Run, Status
from imagen_nb.sweeps import collect, recover
from imagen_nb.workspace import Workspace

QUOTA = {
    "error": {"message": "quota used up (request id: 1)", "type": "new_api_error", "code": "insufficient_user_quota"}
}
FIELDS = {
    "title": "Input validation failed",
    "detail": "- input.aspect_ratio: must be one of 1:1, 16:9\n",
    "status": 422,
    "invalid_fields": [{"type": "enum", "field": "input.aspect_ratio", "description": "must be one of 1:1, 16:9"}],
}


# -- refusals ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("act", "error"),
    [
        (says({"title": "Unauthenticated", "detail": "Wrong token.", "status": 401}, 401), AuthenticationError),
        (says({"title": "Insufficient credit", "detail": "Buy some.", "status": 402}, 402), CreditError),
        (says(QUOTA, 403), CreditError),
        (says(QUOTA), CreditError),
    ],
    ids=["401", "402", "quota", "quota as a success"],
)
def test_a_refusal_of_everything_stops_the_sweep(
    ws: Workspace, api: Origin, act: Act, error: type[ProviderError]
) -> None:
    """It raises after one try for each worker, nothing is tried twice, and the rows say why."""
    api.fault("create", instead=[act])
    with pytest.raises(error) as caught:
        ws.run(ws.plan("a fox", repeat=20), jobs=3)
    assert len(api.of("create")) == len(ws.frame()) <= 3
    assert caught.value.hint
    assert set(ws.frame().status) == {"failed"}
    assert set(ws.frame().error_code) == {error.code}


def test_what_was_accepted_before_a_refusal_is_collected(ws: Workspace, api: Origin) -> None:
    """A token that is withdrawn in mid-sweep costs no image: the open rows are settled when there is a new one."""
    api.latency = 0.5
    runs = ws.submit(ws.plan("a fox", repeat=20), experiment="e", jobs=4)
    until(lambda: len(api.bills) >= 6)
    for kind in ("create", "get", "list"):  # files need no token
        api.fault(kind, instead=[says({"title": "Unauthenticated", "status": 401}, 401)])
    with pytest.raises(AuthenticationError):
        runs.wait()
    books(ws.log, api).check()
    api.heal()
    ws.reconcile()
    now = books(ws.log, api)
    assert now.images == len(api.bills) == now.statuses["succeeded"]


def test_a_refused_input_names_field_and_reason(ws: Workspace, api: Origin) -> None:
    """A 422 is the error of that one request: it is not repeated, and in a sweep the others go on."""
    api.fault("create", instead=[says(FIELDS, 422)], times=1)
    with pytest.raises(RejectedError) as caught:
        ws.generate("a fox")
    assert caught.value.fields == {"aspect_ratio": "must be one of 1:1, 16:9"}
    assert "aspect_ratio: must be one of 1:1, 16:9" in caught.value.message
    api.fault("create", instead=[says(FIELDS, 422)], times=1)
    runs = ws.run(ws.plan("a fox", repeat=3))
    assert sorted(str(run.status) for run in runs) == ["failed", "succeeded", "succeeded"]
    assert len(api.of("create")) == 4


# -- looks -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "script",
    [
        [reply(b"", 404)],
        [page(502)],
        [rst],
        [page(200)],
        cut(b'{"id": "x"}', 5),
        [says([])],
        [says({"status": "failed"})],
    ],
    ids=["404", "502", "reset", "HTML", "cut", "a list", "no id"],
)
def test_a_look_that_fails_is_repeated(ws: Workspace, api: Origin, script: Script) -> None:
    """Whatever a GET comes to, the row goes on and gets its image."""
    api.latency = 0.2
    api.fault("get", instead=script, times=1 if script[0] is not rst else 3)
    (run,) = ws.run(ws.plan("a fox"), hold=0)
    assert run.status is Status.SUCCEEDED
    assert len(api.of("get")) >= 2
    books(ws.log, api).balance(1)


def test_a_look_that_shows_another_prediction_is_repeated(ws: Workspace, api: Origin) -> None:
    """Its id is not the one that was asked for: the picture of another is never logged."""
    api.latency = 0.3
    api.fault("get", instead=lambda _: [says(api.prediction(api.bills[0]))], times=2, skip=1)
    ws.generate("an owl")
    (run,) = ws.run(ws.plan("a fox"), hold=0)
    assert run.status is Status.SUCCEEDED
    assert str(run.prediction_id) in str(run.images[0].url)
    assert all(fault.played == 2 for fault in api.faults)
    books(ws.log, api).balance(2)


def test_a_prediction_that_just_started_is_polled(ws: Workspace, api: Origin) -> None:
    """A 2xx without output, `starting` or `processing`, is looked at until it ends."""
    api.latency = 0.8
    runs = ws.run(ws.plan("a fox", repeat=2))
    assert {run.status for run in runs} == {Status.SUCCEEDED}
    events = ws.events()
    assert list(events[events.run_id == runs[0].id].status)[:2] == ["intent", "starting"]
    books(ws.log, api).balance(2)


def test_aborted_is_an_end_and_costs_nothing(ws: Workspace, api: Origin) -> None:
    """A prediction past its deadline before it started is over, with a reason and a cost of 0."""
    api.answer = lambda _: {"status": "aborted", "output": None}
    run = ws.generate("a fox")
    assert (run.status, run.error_code, run.cost) == (Status.ABORTED, "aborted", 0.0)
    assert run.error


def test_a_status_nobody_knows_is_waited_out_and_logged_as_seen(ws: Workspace, api: Origin) -> None:
    """It is no end and no exception; the log has the word, and the raw reply with fields nobody knows either."""
    api.latency = 0.3
    api.fault("get", instead=lambda _: [says({**api.prediction(api.bills[0]), "status": "pondering"})], times=2)
    api.answer = lambda _: {"surprise": [1, {"x": "y"}]}
    (run,) = ws.run(ws.plan("a fox"), hold=0)
    assert run.status is Status.SUCCEEDED
    assert "pondering" in set(ws.events().status)
    with ws.log.reading() as conn:
        (raw,) = conn.execute(sa.select(replies.c.raw)).scalars()
    assert json.loads(raw)["surprise"] == [1, {"x": "y"}]


@pytest.mark.parametrize("status", ["pondering", "processing"])
def test_what_never_ends_is_given_up_on_canceled_and_logged(ws: Workspace, api: Origin, status: str) -> None:
    """After the run's timeout it is canceled at the provider, and the row says so."""
    api.latency = 60.0
    api.fault("get", instead=lambda _: [says({**api.prediction(api.bills[0]), "status": status})], times=4)
    began = time.monotonic()
    (run,) = ws.run(ws.plan("a fox"), hold=0, timeout=1.0)
    assert time.monotonic() - began < 8.0
    assert (run.status, run.error_code) == (Status.CANCELED, "timeout")
    assert "gave up after 1 s" in str(run.error)
    assert api.bills[0].canceled is not None


def test_missing_and_odd_fields_are_tolerated(ws: Workspace, api: Origin) -> None:
    """The least reply that can be used is used: an id, a status, an output."""
    api.fault("create", after=lambda _: [says({"id": api.bills[-1].id, "status": "starting"})])
    api.fault(
        "get",
        instead=lambda _: [
            says({"id": api.bills[-1].id, "status": "succeeded", "output": f"{api.base_url}/files/a.jpg", "metrics": 7})
        ],
    )
    run = ws.generate("a fox")
    assert (run.status, run.total_s, run.predict_s) == (Status.SUCCEEDED, None, None)
    assert ws.frame().total_s.isna().all()
    books(ws.log, api).balance(1)


# -- outputs -----------------------------------------------------------------------------------------------------------

DOT = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///ywAAAAAAQABAAACAUwAOw=="


def _outputs(base: str) -> dict[str, tuple[Any, int]]:
    one, two = f"{base}/files/one.jpg", f"{base}/files/two.png"
    return {
        "null": (None, 0),
        "an empty list": ([], 0),
        "an empty text": ("", 0),
        "a number": (7, 0),
        "text": ("Style: oil, seed:42", 0),
        "text before and after": (["seed:42", one, "Style: oil"], 1),
        "text in an object": ({"caption": "a fox: red", "image": one, "seed": 7}, 1),
        "white space around it": (f" {one}\n", 1),
        "a string": (one, 1),
        "a list": ([one, two], 2),
        "nested": ({"images": [{"url": one}, {"url": two}], "seed": 7}, 2),
        "data": ([DOT], 1),
    }


@pytest.mark.parametrize("kind", _outputs(""))
def test_any_output_is_shown_or_said_to_be_missing(ws: Workspace, api: Origin, kind: str) -> None:
    """One image or several, nested, embedded, beside text, come out as files; none at all is a failure that says so."""
    output, count = _outputs(api.base_url)[kind]
    api.answer = lambda _: {"output": output}
    run = ws.generate("a fox")
    assert len(run.images) == count
    assert run.status is (Status.SUCCEEDED if count else Status.FAILED)
    if not count:
        what = "text instead of an image: 'Style: oil, seed:42'" if kind == "text" else "no image"
        assert (run.error_code, run.error) == ("no_output", f"the provider says succeeded, and gives {what}")
    if count:
        assert run.error == ("2 images came, 1 was asked for" if count > 1 else None)
    _is_shown(ws, run)


@pytest.mark.parametrize(
    ("reply", "said", "cost"),
    [
        ({"model": "bytedance/seedream-5-lite"}, "bytedance/seedream-5-lite answered in place of", 0.035),
        ({"model": "some/gateway-name"}, "some/gateway-name answered in place of", 0.15),
        ({"metrics": {"resolution": "fallback"}}, "a fallback model answered in place of", 0.15),
    ],
)
def test_another_model_that_answers_is_named_and_paid(
    ws: Workspace, api: Origin, reply: dict[str, Any], said: str, cost: float
) -> None:
    """The row has the model that was asked, says in `error` which one answered, and what that one costs."""
    api.answer = lambda _: reply
    run = ws.generate("a fox", model="google/nano-banana-pro", allow_fallback_model=True)
    assert (run.status, run.request.model, run.error_code) == (
        Status.SUCCEEDED,
        "google/nano-banana-pro",
        "not_as_asked",
    )
    assert run.error == f"{said} google/nano-banana-pro"
    assert (run.cost, run.cost_source) == (cost, "list price")
    _is_shown(ws, run)
    runs = ws.run(ws.plan("a fox", model="google/nano-banana-pro", repeat=2))
    assert runs.progress().message == f"not as asked for: {run.error}"


def _is_shown(ws: Workspace, run: Run) -> None:
    shown = ws.show(run)
    assert shown["text/plain"]
    assert ("<img" in shown["text/html"]) == bool(run.images)


# -- replies that do not end -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["create", "get", "file", "list", "model"])
def test_a_body_that_drips_ends_by_the_clock(
    ws: Workspace, api: Origin, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One byte at a time keeps no call beyond its time, and what was paid for is had afterwards."""
    monkeypatch.setattr(collect, "DOWNLOAD_S", 1.0)
    monkeypatch.setattr(downloads, "PATIENCE_S", 0.5)
    monkeypatch.setattr(client, "LOOK_S", 0.5)
    monkeypatch.setattr("imagen_nb.workspace.SCHEMA_S", 0.5)
    monkeypatch.setattr(recover, "LISTING_S", 1.0)
    api.latency = 0.2
    if kind == "list":
        api.fault("create", after=[rst], times=1)
    api.fault(kind, **{"after" if kind == "create" else "instead": [_dripping]}, times=1 if kind == "list" else None)
    began = time.monotonic()
    model = "some/body" if kind == "model" else None
    (run,) = ws.run(ws.plan("a fox", model=model), timeout=1.0, hold=0)
    assert time.monotonic() - began < 20.0
    api.heal()
    if not run.status.is_terminal:
        (run,) = ws.reconcile()
    assert run.status in (Status.SUCCEEDED, Status.CANCELED)
    now = books(ws.log, api)
    now.check()
    assert len(now.bills) == len(now.claimed) == 1


_dripping = drip(b"HTTP/1.1 200 OK\r\nContent-Length: 90000\r\n\r\n" + b" " * 90000, every=0.05)


def test_a_reply_that_is_only_headers_without_end_ends_by_the_clock(ws: Workspace, api: Origin) -> None:
    """Headers count like bodies."""

    def script(seen: Seen) -> Script:  # noqa: ARG001 - a script's signature
        return [drip(b"HTTP/1.1 200 OK\r\n" + b"X-More: yes\r\n" * 10_000, every=0.01)]

    api.fault("create", after=script, times=1)
    began = time.monotonic()
    assert ws.generate("a fox", timeout=1.0).status is Status.SUCCEEDED
    assert time.monotonic() - began < 10.0
    books(ws.log, api).balance(1)
