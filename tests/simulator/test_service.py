"""The HTTP of the service, over a socket."""

from __future__ import annotations

import io
import re
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlencode

import pytest
from caller import PATH, Caller
from PIL import Image

from imagen_nb.simulator import Simulator
from imagen_nb.simulator.bodies import KEPT_S
from imagen_nb.simulator.catalogue import catalogue
from imagen_nb.simulator.files import Files
from imagen_nb.simulator.ledger import Ledger, WallClock
from imagen_nb.simulator.service import ServerRequest, Service

Calling = Callable[[Simulator], Caller]


@pytest.fixture
def slow(calling: Calling) -> Iterator[Caller]:
    """A connection to a simulator that takes a minute."""
    with Simulator(latency=60.0) as simulator:
        yield calling(simulator)


def until(prediction: Any, call: Caller) -> Any:
    """The prediction when it has ended."""
    limit = time.monotonic() + 10
    while "completed_at" not in prediction and time.monotonic() < limit:
        prediction = call.get(prediction)
    return prediction


def test_a_create_answers_with_the_service_object(slow: Caller) -> None:
    """201, and every field of the documented reply, the input's keys in order and its defaults filled in."""
    made = slow("POST", PATH, {"input": {"prompt": "a red fox", "aspect_ratio": "16:9"}})
    shown = made.json
    assert made.status == 201
    assert made.headers["Content-Type"] == "application/json"
    assert list(shown["input"].items()) == [
        ("aspect_ratio", "16:9"),
        ("image_size", "1K"),
        ("output_format", "jpg"),
        ("prompt", "a red fox"),
        ("safety_filter_level", "block_only_high"),
    ]
    expected = {
        "model": "google/imagen-4",
        "version": "hidden",
        "logs": "",
        "output": None,
        "data_removed": False,
        "error": None,
        "status": "starting",
    }
    assert expected.items() <= shown.items()
    api = f"https://api.replicate.com/v1/predictions/{shown['id']}"
    assert (shown["urls"]["get"], shown["urls"]["cancel"]) == (api, f"{api}/cancel")
    assert shown["urls"]["stream"].endswith(f"/v1/predictions/{shown['id']}/stream")
    assert "started_at" not in shown


def test_a_prediction_goes_from_its_create_to_its_file(call: Caller) -> None:
    """Polling sees it succeed, with times, metrics and a URL of this server, whose file has the documented pixels."""
    done = until(call.create(aspect_ratio="9:16"), call)
    assert done["status"] == "succeeded"
    assert done["created_at"] < done["started_at"] < done["completed_at"]
    assert done["metrics"]["total_time"] == pytest.approx(0.05)
    assert 0 < done["metrics"]["predict_time"] < done["metrics"]["total_time"]
    file = call.fetch(done["output"])
    assert (file.status, file.headers["Content-Type"]) == (200, "image/jpeg")
    with Image.open(io.BytesIO(file.body)) as picture:
        picture.load()
        assert (picture.format, picture.size) == ("JPEG", (768, 1408))
    assert call.fetch(done["output"]).body == file.body


def test_repeats_make_different_pictures(call: Caller) -> None:
    """The same input twice gives two files."""
    one, other = (call.fetch(call.create(wait=True)["output"]).body for _ in range(2))
    assert one != other


def test_a_seed_makes_the_same_picture_again(call: Caller) -> None:
    """Where the model has a seed, the same seed gives the same files, one for each output asked for."""
    options = {"model": "black-forest-labs/flux-schnell", "wait": True, "num_outputs": 2, "megapixels": "0.25"}
    runs = [call.create(seed=7, **options)["output"] for _ in range(2)]
    (one, two), again = ([call.fetch(uri).body for uri in uris] for uris in runs)
    assert [one, two] == again
    assert one != two


def test_a_list_model_gives_a_list_and_no_output_before(call: Caller, slow: Caller) -> None:
    """Four outputs asked for are four URLs; until then the key is absent."""
    asked: dict[str, Any] = {"model": "black-forest-labs/flux-schnell", "num_outputs": 4}
    assert "output" not in slow.create(**asked)
    assert len(set(call.create(**asked, wait=True)["output"])) == 4


def test_a_held_create_comes_back_when_it_is_done(calling: Calling) -> None:
    """`Prefer: wait` answers once, at the end, and repeats the preference."""
    with Simulator(latency=0.3) as simulator:
        begun = time.monotonic()
        held = calling(simulator)("POST", PATH, {"input": {"prompt": "a fox"}}, prefer="wait=10")
        assert 0.3 <= time.monotonic() - begun < 5.0
        assert (held.status, held.headers["Preference-Applied"]) == (201, "wait=10")
        assert held.json["status"] == "succeeded"


def test_a_hold_that_runs_out_answers_unfinished(calling: Calling) -> None:
    """After the seconds asked for the reply is an unfinished prediction."""
    with Simulator(latency=30.0) as simulator:
        held = calling(simulator)("POST", PATH, {"input": {"prompt": "a fox"}}, prefer="wait=1")
        assert held.status in (200, 201, 202)
        assert held.json["status"] == "processing"
        assert held.json["output"] is None


def test_canceling_lets_go_of_a_held_create(calling: Calling) -> None:
    """A cancel from elsewhere ends the hold at once, with status canceled."""
    with Simulator(latency=30.0) as simulator:
        held: list[Any] = []
        first, other = calling(simulator), calling(simulator)
        body = {"input": {"prompt": "a fox"}}
        thread = threading.Thread(target=lambda: held.append(first("POST", PATH, body, prefer="wait").json))
        begun = time.monotonic()
        thread.start()
        while not simulator.predictions:
            time.sleep(0.005)
        canceled = other("POST", f"/v1/predictions/{simulator.predictions[0]['id']}/cancel")
        thread.join(5)
        assert time.monotonic() - begun < 5
        assert (canceled.status, canceled.json["status"], held[0]["status"]) == (200, "canceled", "canceled")
        assert "completed_at" in held[0]


def test_sixty_four_held_creates_end_together(calling: Calling) -> None:
    """64 creates held at once all come back when they are done."""
    with Simulator(latency=1.0, paint=lambda *_, **__: b"") as simulator:
        callers = [calling(simulator) for _ in range(64)]
        threads = [threading.Thread(target=lambda each=each: each.create(wait=True)) for each in callers]
        for each in threads:
            each.start()
        for each in threads:
            each.join(20)
        assert not any(each.is_alive() for each in threads)


def test_replies_on_a_kept_connection_do_not_stall(call: Caller) -> None:
    """Two hundred calls on one connection take far less than the 40 ms each that a delayed ACK would cost."""
    made = call.create()
    begun = time.monotonic()
    for _ in range(200):
        call.get(made)
    assert time.monotonic() - begun < 5.0


@pytest.mark.parametrize(("header", "status"), [("50ms", "aborted"), ("0.5s", "canceled"), ("0h0m0.5s", "canceled")])
def test_cancel_after_ends_what_takes_too_long(calling: Calling, header: str, status: str) -> None:
    """Past the deadline: aborted before the start, canceled after it, and `deadline` says when."""
    with Simulator(latency=1.0) as simulator:
        call = calling(simulator)
        made = call("POST", PATH, {"input": {"prompt": "a fox"}}, cancel_after=header, prefer="wait").json
        assert made["status"] == status
        assert made["deadline"] > made["created_at"]
        assert ("started_at" in made) == (status == "canceled")


@pytest.mark.parametrize("header", ["600s", "1m", "1h30m", "90"])
def test_long_deadlines_are_understood(call: Caller, header: str) -> None:
    """Every form of the documented header is accepted."""
    assert call("POST", PATH, {"input": {"prompt": "a fox"}}, cancel_after=header).status == 201


def test_a_deadline_that_cannot_be_read_is_refused(call: Caller) -> None:
    """422, and no prediction."""
    assert call("POST", PATH, {"input": {"prompt": "a fox"}}, cancel_after="soon").status == 422


def test_versions_name_a_model_too(call: Caller) -> None:
    """By id, by owner/name:id, and by owner/name alone; an unknown one is 422."""
    version = call("GET", "/v1/models/google/imagen-4").json["latest_version"]["id"]
    for named in (version, f"google/imagen-4:{version}", "google/imagen-4"):
        made = call("POST", "/v1/predictions", {"version": named, "input": {"prompt": "a fox"}})
        assert (made.status, made.json["model"]) == (201, "google/imagen-4")
    for wrong in ("f" * 64, f"google/imagen-4-fast:{version}", ""):
        refused = call("POST", "/v1/predictions", {"version": wrong, "input": {"prompt": "a fox"}})
        assert (refused.status, refused.json["title"]) == (422, "Invalid version or not permitted")


def test_a_model_shows_its_schema(call: Caller) -> None:
    """`latest_version.openapi_schema`; a model that nobody knows is 404 everywhere."""
    page = call("GET", "/v1/models/google/imagen-4-fast").json
    assert "image_size" not in page["latest_version"]["openapi_schema"]["components"]["schemas"]["Input"]["properties"]
    assert call("GET", "/v1/models/some/body").status == 404
    unknown = call("POST", "/v1/models/some/body/predictions", {"input": {"prompt": "x"}})
    assert (unknown.status, unknown.json["status"]) == (404, 404)


def test_a_bad_value_is_refused_with_field_and_reason(call: Caller, simulator: Simulator) -> None:
    """422 in the service's words, and nothing is billed."""
    refused = call("POST", PATH, {"input": {"prompt": "a fox", "aspect_ratio": "2:1"}})
    reason = 'aspect_ratio must be one of the following: "1:1", "9:16", "16:9", "3:4", "4:3"'
    assert refused.json == {
        "title": "Input validation failed",
        "detail": f"- input.aspect_ratio: {reason}\n",
        "status": 422,
        "invalid_fields": [{"type": "enum", "field": "input.aspect_ratio", "description": reason}],
    }
    assert (refused.status, refused.headers["Content-Type"]) == (422, "application/problem+json")
    assert simulator.predictions == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"input": {"prompt": "x"}, "prompt": "x"}, 422),
        ({"input": {"prompt": "x"}, "version": "f" * 64}, 422),
        ({"input": "x"}, 422),
        ({}, 422),
        ([], 422),
        (b"{", 400),
        (b"\xff\xfe", 400),
        (b'{"input": {"prompt": "x", "aspect_ratio": NaN}}', 400),
        (b'{"input": {"prompt": "x", "seed": 1e999999}}', 400),
        (b'{"input": {"prompt": "x", "seed": [{"a": -1e400}]}}', 400),
        (b"[" * 200_000, 400),
        (None, 400),
    ],
)
def test_a_body_that_is_not_a_create_is_refused(call: Caller, simulator: Simulator, body: Any, status: int) -> None:
    """Extra keys, no input, no JSON: refused, nothing billed, and the server goes on."""
    assert call("POST", PATH, body).status == status
    assert simulator.predictions == []
    assert call.create()["id"]


def test_the_token_is_asked_for_when_there_is_one(calling: Calling) -> None:
    """Without it, or with another one, 401; files need none."""
    with Simulator(token="right", latency=0.0) as simulator:
        call = calling(simulator)
        for wrong in ({}, {"authorization": "Bearer wrong"}, {"authorization": "right"}):
            refused = call("GET", "/v1/predictions", None, **wrong)
            assert (refused.status, refused.json["title"]) == (401, "Unauthenticated")
        made = call("POST", PATH, {"input": {"prompt": "a fox"}}, authorization="Bearer right", prefer="wait")
        assert made.status == 201
        assert call.fetch(made.json["output"]).status == 200


@pytest.mark.parametrize(("word", "error"), [("[blocked]", "E005"), ("[fail]", "failed")])
def test_a_word_makes_a_prediction_fail(call: Caller, word: str, error: str) -> None:
    """HTTP says yes, the prediction no, with the reason; blocked ones with the service's own text."""
    failed = call.create(f"a fox {word}", wait=True)
    assert (failed["status"], failed["output"]) == ("failed", None)
    assert error in failed["error"]


def test_outputs_are_deleted_after_a_while() -> None:
    """An hour after the end the output reads null, `data_removed` true, and the file is gone; the rest stays."""
    now = [0.0]
    ledger = Ledger(latency=0.5, clock=lambda: now[0])
    files = Files(life=1.0, clock=ledger.clock)
    service = Service(ledger, files, catalogue(), lambda *_, **__: b"a picture", origin="", wall=WallClock(0.0))
    entry = ledger.create(catalogue()["google/imagen-4"], {"prompt": "a red fox"})
    file = ServerRequest("GET", f"/files/{entry.id}/0.jpg", {}, {})
    for seconds, output, status in ((KEPT_S, file.path, 200), (KEPT_S + 0.5, None, 404)):
        now[0] = seconds
        shown = service.prediction(entry)
        assert (shown["status"], shown["input"]["prompt"]) == ("succeeded", "a red fox")
        assert (shown["output"], shown["data_removed"]) == (output, output is None)
        assert service.answer(file).status == status


def test_a_file_is_there_only_as_it_was_made(call: Caller) -> None:
    """Not before the end, not under another number or format, not for an unknown id."""
    early, done = call.create("[stuck]"), call.create(wait=True)
    for path in (f"{early['id']}/0.jpg", f"{done['id']}/1.jpg", f"{done['id']}/0.png", f"{'0' * 26}/0.jpg"):
        assert call("GET", f"/files/{path}").status == 404


def test_the_list_pages_by_an_address_of_its_own(call: Caller, simulator: Simulator) -> None:
    """Newest first, 100 a page, `next` an absolute URL of this server that leads to the rest."""
    made = [call.create()["id"] for _ in range(103)]
    first = call("GET", "/v1/predictions").json
    assert first["next"].startswith(f"{simulator.base_url}/v1/predictions?")
    rest = call.fetch(first["next"]).json
    assert (rest["next"], rest["previous"]) == (None, None)
    assert [each["id"] for each in first["results"] + rest["results"]] == made[::-1]


def test_the_list_keeps_to_a_span_of_time(call: Caller) -> None:
    """`created_after` includes and `created_before` excludes the moment that `created_at` shows, on every page."""
    made = []
    for _ in range(3):
        made.append(call.create())
        time.sleep(0.003)
    moment = made[1]["created_at"]
    after = call("GET", f"/v1/predictions?{urlencode({'created_after': moment})}").json
    before = call("GET", f"/v1/predictions?created_before={moment.replace('Z', '%2B00:00')}").json
    assert [each["id"] for each in after["results"]] == [made[2]["id"], made[1]["id"]]
    assert [each["id"] for each in before["results"]] == [made[0]["id"]]


@pytest.mark.parametrize("query", ["cursor=nonsense", "cursor=%F0%9F%A6%8A", "created_after=yesterday"])
def test_a_list_that_cannot_be_understood_is_refused(call: Caller, query: str) -> None:
    """400, not a traceback."""
    assert call("GET", f"/v1/predictions?{query}").status == 400


def test_what_is_not_there_is_404_and_what_is_not_allowed_405(call: Caller) -> None:
    """Unknown ids, paths and methods, each with a JSON body."""
    unknown = f"/v1/predictions/{'z' * 26}"
    for method, path, status in [
        ("GET", unknown, 404),
        ("POST", f"{unknown}/cancel", 404),
        ("GET", "/v1/predictions/../../etc/passwd", 404),
        ("GET", "/v1/elsewhere", 404),
        ("DELETE", "/v1/predictions", 405),
        ("GET", PATH, 405),
        ("OPTIONS", PATH, 405),
    ]:
        answer = call(method, path)
        assert (answer.status, answer.json["status"]) == (status, status)


def test_head_answers_like_get_without_the_body(call: Caller) -> None:
    """The length of the file, and no file."""
    uri = call.create(wait=True)["output"]
    head = call("HEAD", "/" + uri.split("/", 3)[3])
    assert int(head.headers["Content-Length"]) == len(call.fetch(uri).body) > 0
    assert head.body == b""


def test_every_reply_is_dated_by_the_servers_clock(call: Caller) -> None:
    """The Date header and the times of predictions share one clock."""
    made = call("POST", PATH, {"input": {"prompt": "a fox"}})
    dated = parsedate_to_datetime(made.headers["Date"])
    created = datetime.strptime(made.json["created_at"], "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc)
    assert abs((created - dated).total_seconds()) < 2


def test_the_simulator_keeps_the_bill_and_the_requests(call: Caller, simulator: Simulator) -> None:
    """Every prediction in order, and every request with its headers."""
    ids = [call.create(f"fox {number}")["id"] for number in range(3)]
    assert [each["id"] for each in simulator.predictions] == ids
    seen = simulator.requests[-1]
    assert (seen.method, seen.path, seen.headers["host"]) == ("POST", PATH, f"127.0.0.1:{simulator.port}")
    assert [each.method for each in simulator.requests] == ["POST"] * 3


def test_pictures_can_be_made_by_anyone(calling: Calling) -> None:
    """`paint=` gets the size, the format and the words, and its bytes are served."""
    asked: list[Any] = []

    def paint(*size: Any, **words: Any) -> bytes:
        asked.append((size, words))
        return b"the same each time"

    with Simulator(latency=0.0, paint=paint) as simulator:
        call = calling(simulator)
        assert call.fetch(call.create(wait=True)["output"]).body == b"the same each time"
    ((size, words),) = asked
    assert size == (1024, 1024, "jpg")
    assert (words["prompt"], words["model"], words["params"]["aspect_ratio"]) == ("a red fox", "google/imagen-4", "1:1")


def test_events_come_without_a_token_when_it_has_ended(calling: Calling) -> None:
    """As clients ask for them: the pictures themselves and how it ended, for whoever knows the id."""
    with Simulator(latency=0.1, token="a-token") as simulator:
        call = calling(simulator)
        told = {}
        for prompt in ("a fox", "a fox [fail]"):
            headers = {"authorization": "Bearer a-token"}
            made = call("POST", PATH, {"input": {"prompt": prompt}}, **headers).json
            assert made["urls"]["stream"].startswith(simulator.base_url)
            answer = call("GET", made["urls"]["stream"].removeprefix(simulator.base_url), accept="text/event-stream")
            assert answer.headers["Content-Type"] == "text/event-stream"
            told[prompt] = re.findall(r"event: (\w+)\nid: \d+\ndata: (.*)\n\n", answer.body.decode())
        assert [name for name, _ in told["a fox"]] == ["output", "done"]
        assert told["a fox"][0][1].startswith("data:image/jpeg;base64,")
        assert [name for name, _ in told["a fox [fail]"]] == ["error", "done"]
        assert "simulated: [fail]" in told["a fox [fail]"][0][1]
        assert call("GET", "/v1/predictions").status == call("GET", "/v1/account").status == 401


def test_a_first_hours_questions_are_answered(call: Caller) -> None:
    """Whose account it is, and which models there are: each as its own page has it."""
    assert call("GET", "/v1/account").json["username"] == "simulator"
    listed = call("GET", "/v1/models").json
    assert (listed["previous"], listed["next"]) == (None, None)
    assert {f"{each['owner']}/{each['name']}" for each in listed["results"]} == set(catalogue())
    first = listed["results"][0]
    assert call("GET", f"/v1/models/{first['owner']}/{first['name']}").json == first
