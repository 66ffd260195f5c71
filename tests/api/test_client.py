"""The calls of the API against a server, on the paths that they must keep to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from acts import page, reply, says
from origin import Origin
from providers import CANARY, Naps, api_of, fox, soon

from imagen_nb.errors import InputError, NotFoundError, UncertainError
from imagen_nb.records import Request, Status

VERSION = "f" * 64


@pytest.fixture
def origin() -> Iterator[Origin]:
    with Origin(token=CANARY) as started:
        yield started


# -- create ------------------------------------------------------------------------------------------------------------


def test_the_body_holds_the_input_and_nothing_else(origin: Origin) -> None:
    """Extra keys are refused by the service; the input goes as given, whatever its characters."""
    prompt = 'quotes " and \\ and 狐 and \ud800 and {braces}'
    api_of(origin).create(fox(prompt, aspect_ratio="16:9", seed=7), deadline=soon())
    (seen,) = origin.seen
    assert seen.path == "/v1/models/google/imagen-4/predictions"
    assert seen.json() == {"input": {"prompt": prompt, "aspect_ratio": "16:9", "seed": 7}}
    assert seen.headers["content-type"] == "application/json"
    assert "prefer" not in seen.headers


@pytest.mark.parametrize(
    ("model", "path", "version"),
    [
        ("black-forest-labs/flux-1.1-pro", "/v1/models/black-forest-labs/flux-1.1-pro/predictions", None),
        (f"owner/name:{VERSION}", "/v1/predictions", VERSION),
        (VERSION, "/v1/predictions", VERSION),
        ("../x", None, None),
        ("a/b/c", None, None),
        ("imagen", None, None),
    ],
)
def test_the_model_chooses_the_path(origin: Origin, model: str, path: str | None, version: str | None) -> None:
    """By name or by version; a name that leads elsewhere is sent nowhere."""
    if path is None:
        with pytest.raises((InputError, NotFoundError)):
            api_of(origin).create(fox(model=model), deadline=soon())
        assert origin.seen == []
        return
    api_of(origin).create(fox(model=model), deadline=soon())
    assert origin.seen[0].path == path
    assert origin.seen[0].json().get("version") == version


def test_a_held_create_comes_back_finished() -> None:
    """With `hold` the reply waits for the end; a provider that ignores it answers at once."""
    with Origin(latency=0.3) as origin:
        assert api_of(origin).create(fox(), deadline=soon(), hold=60).status is Status.SUCCEEDED
        assert origin.seen[0].headers["prefer"] == "wait=60"
    with Origin(latency=0.3, holds=False) as origin:
        assert api_of(origin).create(fox(), deadline=soon(), hold=60).status is Status.STARTING


def test_the_provider_is_told_when_to_give_up(origin: Origin) -> None:
    """`cancel_after` becomes Cancel-After, in whole seconds."""
    api_of(origin).create(fox(), deadline=soon(), cancel_after=600.2)
    assert origin.seen[0].headers["cancel-after"] == "601s"


@pytest.mark.parametrize("status", [200, 201, 202])
def test_any_success_will_do(origin: Origin, status: int) -> None:
    """200 from a gateway, 201 from the service, 202 for something queued."""
    origin.fault("create", instead=[says({"id": "abc", "status": "starting"}, status)])
    assert api_of(origin).create(fox(), deadline=soon()).id == "abc"


@pytest.mark.parametrize(
    "body", [b"", b"{}", b'{"id": "../../x"}', b'{"id": 7.5}', b"[]", b'"abc"', b"\xff\xfe{"], ids=str
)
def test_a_create_without_a_usable_id_is_uncertain(origin: Origin, body: bytes) -> None:
    """A 2xx one cannot read may still be billed."""
    origin.fault("create", after=[reply(body, 201)])
    with pytest.raises(UncertainError):
        api_of(origin).create(fox(), deadline=soon())
    assert len(origin.bills) == 1


def test_an_input_that_is_no_json_is_not_sent(origin: Origin) -> None:
    """A set, a NaN, a module: refused before anything is sent."""
    for value in ({1}, float("nan"), json):
        with pytest.raises(InputError, match="cannot be written as JSON"):
            api_of(origin).create(fox(seed=value), deadline=soon())
    assert origin.seen == []


def test_the_documented_example_is_sent_as_documented(origin: Origin) -> None:
    """The request of the API's own page, read back from the socket."""
    example = {
        "prompt": "The photo: Create a cinematic, photorealistic medium shot capturing the nostalgic warmth",
        "aspect_ratio": "16:9",
        "output_format": "jpg",
        "safety_filter_level": "block_medium_and_above",
    }
    api_of(origin).create(Request("google/imagen-4", example, example["prompt"]), deadline=soon())
    assert origin.seen[0].method == "POST"
    assert origin.seen[0].json() == {"input": example}


# -- get and cancel ----------------------------------------------------------------------------------------------------


def test_urls_in_a_reply_are_never_followed(origin: Origin) -> None:
    """`urls.get` names another host; every path is built from our own base URL and the id."""
    with Origin() as elsewhere:
        origin.links_url = elsewhere.base_url
        client = api_of(origin)
        created = client.create(fox(), deadline=soon())
        assert client.get(created.id, deadline=soon()).id == created.id
        assert client.cancel(created.id, deadline=soon()) is not None
        assert elsewhere.base_url in json.dumps(dict(created.raw))
        assert elsewhere.seen == []


@pytest.mark.parametrize("identifier", ["a/../../x", "a?b=c", "a#b", "a b", "%2e%2e", "狐"])
def test_an_id_stays_one_step_of_the_path(origin: Origin, identifier: str) -> None:
    """However an id looks, it stays below `/v1/predictions/`."""
    with pytest.raises(NotFoundError):
        api_of(origin).get(identifier, deadline=soon())
    (seen,) = origin.seen
    assert seen.path.startswith("/v1/predictions/")
    assert seen.path.count("/") == 3
    assert seen.query == ""


@pytest.mark.parametrize("kind", ["get", "cancel"])
def test_a_reply_about_another_prediction_is_not_believed(kind: str) -> None:
    """Neither a look nor a cancel takes another prediction for the one that was asked about."""
    with Origin(token=CANARY, latency=60.0) as origin:
        client = api_of(origin)
        mine, other = (client.create(fox(), deadline=soon()) for _ in range(2))
        origin.fault(kind, instead=lambda _: [says(origin.prediction(origin.bills[1]))], times=1)
        if kind == "get":
            with pytest.raises(UncertainError, match="another prediction"):
                client.get(mine.id, deadline=soon())
        else:
            assert client.cancel(mine.id, deadline=soon()).id == mine.id  # it is looked at once more
        assert client.get(mine.id, deadline=soon()).id == mine.id != other.id


def test_dots_are_not_asked_for(origin: Origin) -> None:
    """`..` as an id would be another path: nothing is sent."""
    with pytest.raises(NotFoundError):
        api_of(origin).get("..", deadline=soon())
    assert origin.seen == []


def test_canceling_tells_what_became_of_it() -> None:
    """A running prediction comes back canceled."""
    with Origin(latency=30.0) as origin:
        client = api_of(origin)
        created = client.create(fox(), deadline=soon())
        canceled = client.cancel(created.id, deadline=soon())
        assert canceled is not None
        assert canceled.status is Status.CANCELED


@pytest.mark.parametrize("act", [reply(b"", 404), page(200, "Welcome"), reply(b"", 405)], ids=["404", "page", "405"])
def test_a_provider_that_cannot_cancel_is_no_error(origin: Origin, act: Any) -> None:
    """Canceling is best effort: where it is not offered, None says so."""
    origin.fault("cancel", instead=[act])
    assert api_of(origin, sleep=Naps()).cancel("abc", deadline=soon()) is None


def test_an_empty_answer_to_a_cancel_is_looked_up(origin: Origin) -> None:
    """A 204 says nothing; the prediction itself does."""
    client = api_of(origin, sleep=Naps())
    created = client.create(fox(), deadline=soon())
    origin.fault("cancel", after=[reply(b"", 204)])
    canceled = client.cancel(created.id, deadline=soon())
    assert canceled is not None
    assert canceled.id == created.id


# -- list --------------------------------------------------------------------------------------------------------------


def test_a_list_of_several_pages_is_whole(origin: Origin) -> None:
    """250 predictions, newest first; the next page's URL names another host and only its query counts."""
    client = api_of(origin)
    ids = [client.create(fox(str(number)), deadline=soon()).id for number in range(250)]
    listed = [each.id for each in client.list(deadline=soon())]
    assert listed == ids[::-1]
    assert [seen.path for seen in origin.of("list")] == ["/v1/predictions"] * 3


def test_a_list_is_bounded_by_time(origin: Origin) -> None:
    """`created_after` is inclusive and `created_before` exclusive, in the provider's format."""
    client = api_of(origin)
    created = [client.create(fox(str(number)), deadline=soon()) for number in range(4)]
    times = [each.created_at for each in created]
    within = client.list(created_after=times[1], created_before=times[3], deadline=soon())
    assert [each.id for each in within] == [created[2].id, created[1].id]
    noon = datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    list(client.list(created_after=noon, deadline=soon()))
    assert origin.seen[-1].query == "created_after=2026-01-01T10%3A00%3A00.000000Z"


@pytest.mark.parametrize(
    "following",
    ["/v1/predictions?cursor=1", "?cursor=1", "https://evil.example/x?cursor=1", 7, "http://[", "file:///x"],
)
def test_a_next_page_that_repeats_itself_ends(origin: Origin, following: Any) -> None:
    """A `next` that leads in a circle, elsewhere or nowhere ends the list as not whole; nobody else is asked."""
    body = {"results": [{"id": "a", "status": "succeeded"}, 7, {"status": "starting"}], "next": following}
    origin.fault("list", instead=[says(body)])
    listed = api_of(origin).list(deadline=soon())
    assert next(listed).id == "a"
    with pytest.raises(UncertainError, match="no end"):
        list(listed)
    assert len(origin.seen) <= 2


def test_an_endless_list_is_bounded(origin: Origin) -> None:
    """Ever new pages end after `pages` of them, and are not taken for the whole."""
    pages = iter(range(1000))
    origin.fault("list", instead=lambda _: [says({"results": [], "next": f"https://x/?cursor={next(pages)}"})])
    with pytest.raises(UncertainError, match="no end"):
        list(api_of(origin).list(deadline=soon(), pages=5))
    assert len(origin.seen) == 5


@pytest.mark.parametrize(
    "act",
    [reply(b"", 404), page(200, "Welcome"), says({"data": []}), reply(b"", 501)],
    ids=["404", "page", "another shape", "501"],
)
def test_a_provider_that_does_not_list_says_so(origin: Origin, act: Any) -> None:
    """404, a front end's page, another shape: there is no list to look in."""
    origin.fault("list", instead=[act])
    with pytest.raises(NotFoundError):
        next(api_of(origin, sleep=Naps()).list(deadline=soon()))


def test_a_broken_list_is_not_a_missing_one(origin: Origin) -> None:
    """A 502 and half a page of JSON are tried again, and then said to be failures."""
    for script in ([page(502)], [reply(b'{"results": [', 200)]):
        origin.heal()
        origin.fault("list", instead=script)
        with pytest.raises(UncertainError):
            next(api_of(origin, sleep=Naps()).list(deadline=soon()))


# -- schema ------------------------------------------------------------------------------------------------------------


def test_a_models_schema_is_asked_for(origin: Origin) -> None:
    """The OpenAPI schema of the latest version, or None where there is none, or no such version."""
    schema = {"components": {"schemas": {"Input": {"properties": {}}}}}
    origin.schemas = {"acme/painter": schema, "acme/empty": None}
    client = api_of(origin)
    assert client.schema("acme/painter", deadline=soon()) == schema
    assert client.schema(f"acme/painter:{VERSION}", deadline=soon()) is None
    assert client.schema("acme/empty", deadline=soon()) is None
    assert client.schema("acme/unknown", deadline=soon()) is None
    assert client.schema(VERSION, deadline=soon()) is None


# -- the token ---------------------------------------------------------------------------------------------------------


def test_the_token_is_sent_to_the_provider_alone(tmp_path: Path) -> None:
    """Create, look, cancel, list, fetch: the header is on every call to the API, and on none to any other host."""
    from imagen_nb.api.downloads import Downloader

    with Origin() as links, Origin() as files, Origin(token=CANARY, links=links, files=files) as origin:
        client = api_of(origin)
        created = client.create(fox(), deadline=soon())
        done = client.get(created.id, deadline=soon())
        client.cancel(created.id, deadline=soon())
        list(client.list(deadline=soon()))
        Downloader(allow_local=True).fetch(done.output[0], tmp_path, deadline=soon())
        assert all(seen.headers["authorization"] == f"Bearer {CANARY}" for seen in origin.seen)
        assert len(origin.seen) == 4
        assert len(files.seen) == 1
        assert links.seen == []
        assert CANARY.encode() not in files.bytes_seen()
        assert "cookie" not in files.seen[0].headers
