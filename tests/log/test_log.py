"""What happens to a row of the log, one change at a time."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from logged import NOON, PROVIDER, prediction, published, request, succeeded

from imagen_nb.errors import InputError, LogError
from imagen_nb.log.frame import frame
from imagen_nb.log.images import image_place
from imagen_nb.log.log import RESUBMISSIONS, Log
from imagen_nb.log.schema import events, replies
from imagen_nb.log.sessions import is_id
from imagen_nb.records import Image, InputFile, Request, Status


def told(log: Log, run_id: str) -> list[tuple[str, str | None]]:
    with log.reading() as conn:
        rows = conn.execute(sa.select(events).where(events.c.run_id == run_id).order_by(events.c.seq))
        return [(row.status, row.detail) for row in rows]


def intended(log: Log, *requests: Request, **options: Any) -> list[str]:
    return log.intend(requests or [request()], provider=PROVIDER, **options)


def test_a_row_is_durable_before_its_request_leaves(log: Log, home: Path) -> None:
    """After intend another log on the same home sees the rows, in order and equal to what was asked."""
    asked = [request(f"fox {number}", slots={"n": number}, template="fox {n}") for number in range(3)]
    run_ids = log.intend(asked, provider=PROVIDER, experiment="foxes", tag="first")
    with Log(home) as other:
        runs = other.runs()
    assert [run.id for run in runs] == run_ids == sorted(run_ids)
    assert all(map(is_id, run_ids))
    assert [run.request for run in runs] == asked
    assert [run.request.key for run in runs] == [each.key for each in asked]
    assert {(run.status, run.experiment, run.tag, run.provider) for run in runs} == {
        (Status.INTENT, "foxes", "first", PROVIDER)
    }
    assert log.experiments() == ["foxes"]


def test_nothing_to_intend_is_nothing_written(log: Log) -> None:
    """An empty list of requests makes no rows and no experiment."""
    assert log.intend([], provider=PROVIDER, experiment="none") == []
    assert log.count() == 0
    assert log.experiments() == []


def test_a_run_goes_from_intent_to_succeeded(log: Log, home: Path) -> None:
    """Each status change is one event, and the settled run has its images, times and cost."""
    (run_id,) = intended(log)
    assert log.accept(run_id, prediction())
    log.observe(run_id, prediction(status=Status.PROCESSING, started_at=NOON + timedelta(seconds=1)))
    image = published(home)
    run = log.settle(
        run_id, Status.SUCCEEDED, prediction=succeeded(), images=[image], cost=0.04, cost_source="list price"
    )
    assert run == log.get(run_id)
    assert (run.status, run.images, run.cost, run.cost_source) == (Status.SUCCEEDED, (image,), 0.04, "list price")
    assert (run.created_at, run.total_s, run.predict_s) == (NOON, 9.0, 8.5)
    assert [status for status, _ in told(log, run_id)] == ["intent", "starting", "processing", "succeeded"]
    assert log.verify() == []


def test_a_status_that_is_seen_again_writes_nothing(log: Log) -> None:
    """Polling an unchanged prediction leaves no events behind."""
    (run_id,) = intended(log)
    log.accept(run_id, prediction())
    for _ in range(3):
        log.observe(run_id, prediction())
    assert len(told(log, run_id)) == 2


def test_a_status_nobody_knows_is_logged_as_seen(log: Log) -> None:
    """The row is processing, the event has the provider's own word."""
    (run_id,) = intended(log)
    log.accept(run_id, prediction(status=Status.PROCESSING, seen_status="queued"))
    assert log.get(run_id).status is Status.PROCESSING
    assert told(log, run_id)[-1] == ("queued", "prediction p1")


def test_a_prediction_that_is_done_at_once_is_still_collected(log: Log) -> None:
    """Until its images are recorded, a held create that came back succeeded leaves a row that is not done."""
    (run_id,) = intended(log)
    log.accept(run_id, succeeded())
    assert log.get(run_id).status is Status.PROCESSING
    log.settle(run_id, Status.EXPIRED, prediction=succeeded(data_removed=True), error="gone", error_code="gone")
    assert log.get(run_id).status is Status.EXPIRED
    assert [status for status, _ in told(log, run_id)] == ["intent", "succeeded", "expired"]


def test_a_prediction_belongs_to_one_row(log: Log) -> None:
    """Accepting it for a second row is refused and told; for the same row again it is fine."""
    first, second = intended(log, request(), request())
    assert log.accept(first, prediction("p1"))
    assert log.accept(first, prediction("p1"))
    assert not log.accept(second, prediction("p1"))
    assert log.get(second).prediction_id is None
    assert told(log, second)[-1] == ("intent", f"not taken: prediction p1 of run {first}")
    assert log.find_predictions(PROVIDER, ["p1", "p2"]) == {"p1"}
    assert log.find_predictions("another", ["p1"]) == set()


def test_a_row_has_one_prediction(log: Log) -> None:
    """A second prediction for the same row is refused, but its id is in the events."""
    (run_id,) = intended(log)
    assert log.accept(run_id, prediction("p1"))
    assert not log.accept(run_id, prediction("p2"))
    assert log.get(run_id).prediction_id == "p1"
    assert told(log, run_id)[-1] == ("starting", "not taken: prediction p2")


def test_the_same_id_at_two_providers_is_two_predictions(log: Log) -> None:
    """Ids are unique for each provider only."""
    (first,) = log.intend([request()], provider="one")
    (second,) = log.intend([request()], provider="two")
    assert log.accept(first, prediction("p1"))
    assert log.accept(second, prediction("p1"))


def test_a_row_that_is_done_stays_as_it_is(log: Log, home: Path) -> None:
    """Late observations, settlements and doubts change nothing."""
    (run_id,) = intended(log)
    log.accept(run_id, prediction())
    done = log.settle(run_id, Status.SUCCEEDED, prediction=succeeded(), images=[published(home)])
    log.observe(run_id, prediction(status=Status.PROCESSING))
    log.mark_unknown(run_id, "lost")
    log.mark_unknown(run_id, "lost", is_final=False)
    assert log.settle(run_id, Status.EXPIRED, error="gone") == done
    assert log.accept(run_id, prediction())
    assert log.get(run_id) == done
    assert len(told(log, run_id)) == 3


def test_a_reply_that_comes_after_the_end_is_not_lost(log: Log) -> None:
    """A prediction accepted after its row was canceled is recorded, and the row stays canceled."""
    (run_id,) = intended(log)
    log.settle(run_id, Status.CANCELED, error="canceled by the user")
    assert log.accept(run_id, prediction("late"))
    run = log.get(run_id)
    assert (run.status, run.prediction_id, run.error) == (Status.CANCELED, "late", "canceled by the user")
    assert "late" in str(told(log, run_id)[-1][1])


def test_an_unknown_row_can_become_anything(log: Log) -> None:
    """A row whose fate was unknown can be adopted, and is then as if nothing had been wrong."""
    (run_id,) = intended(log)
    log.mark_unknown(run_id, "the connection was reset")
    unknown = log.get(run_id)
    assert (unknown.status, unknown.error, unknown.error_code) == (
        Status.UNKNOWN,
        "the connection was reset",
        "uncertain",
    )
    log.accept(run_id, prediction())
    assert (log.get(run_id).status, log.get(run_id).error, log.get(run_id).error_code) == (Status.STARTING, None, None)


def test_the_images_of_a_first_try_are_replaced(log: Log, home: Path) -> None:
    """A row settled as unknown with some of its images takes all of them later."""
    (run_id,) = intended(log)
    log.accept(run_id, prediction())
    image = published(home)
    log.settle(run_id, Status.UNKNOWN, prediction=succeeded(), images=[image], error="the second did not come")
    run = log.settle(run_id, Status.SUCCEEDED, prediction=succeeded(), images=[image, image])
    assert run.images == (image, image)


def test_settling_needs_an_end(log: Log) -> None:
    """A status that is no end is a mistake of the caller."""
    (run_id,) = intended(log)
    with pytest.raises(ValueError, match="settled as processing"):
        log.settle(run_id, Status.PROCESSING)


def test_what_never_became_a_prediction_can_be_sent_again(log: Log) -> None:
    """Reopen takes back failed rows without a prediction, on the same row, and no others."""
    refused, failed, running, good = intended(log, *[request(str(number)) for number in range(4)])
    log.settle(refused, Status.FAILED, error="no credit", error_code="credit", cost=0.1)
    log.accept(failed, prediction("p1"))
    log.settle(failed, Status.FAILED, error="E005")
    log.accept(running, prediction("p2"))
    log.settle(good, Status.SUCCEEDED)
    assert log.reopen([refused, failed, running, good, "0000000000000000"]) == [refused]
    run = log.get(refused)
    assert (run.status, run.error, run.error_code, run.cost) == (Status.INTENT, None, None, None)
    assert told(log, refused)[-1] == ("intent", "reopened")


def test_a_lost_request_is_sent_again_within_a_bound(log: Log, home: Path) -> None:
    """A row has so many permissions, however many processes ask; one that is asked for anew has them again."""
    (run_id,) = intended(log)
    log.mark_unknown(run_id, "lost")
    assert log.begin_resubmission(run_id)
    log.mark_unknown(run_id, "lost again")
    with Log(home) as other:
        assert [row.run_id for row in other.adopt_rows([run_id])] == [run_id]
        permitted = [other.begin_resubmission(run_id) for _ in range(RESUBMISSIONS)]
        assert permitted == [True] * (RESUBMISSIONS - 1) + [False]
        other.mark_unknown(run_id, "lost for good")
        (leftover,) = other.leftovers()
        assert leftover.attempts == 1 + RESUBMISSIONS
        other.settle(run_id, Status.FAILED, error="never sent")
        assert other.reopen([run_id]) == [run_id]
        assert other.begin_resubmission(run_id)
    assert told(log, run_id)[2] == ("intent", "resubmitted")


@pytest.mark.parametrize("fate", ["accepted", "settled", "owned by another"])
def test_only_a_lost_request_is_sent_again(log: Log, home: Path, fate: str) -> None:
    """No second create for a row that has a prediction, is done, or that another session is at."""
    (run_id,) = intended(log)
    if fate == "accepted":
        log.accept(run_id, prediction())
    elif fate == "settled":
        log.settle(run_id, Status.FAILED, error="refused")
    with Log(home) as other:
        assert not (other if fate == "owned by another" else log).begin_resubmission(run_id)


def test_a_run_that_is_not_there_is_named(log: Log) -> None:
    """A wrong run id is a mistake of the user's, in every call that takes one."""
    calls = [
        log.get,
        lambda run_id: log.accept(run_id, prediction()),
        lambda run_id: log.observe(run_id, prediction()),
        lambda run_id: log.settle(run_id, Status.FAILED),
        lambda run_id: log.rate(run_id, rating=3),
    ]
    for call in calls:
        with pytest.raises(InputError, match="has no run 'nosuchrun'"):
            call("nosuchrun")


def test_ratings_and_notes(log: Log) -> None:
    """They can be set one by one, and taken away."""
    (run_id,) = intended(log)
    log.rate(run_id, rating=5)
    log.rate(run_id, note="lovely")
    assert (log.get(run_id).rating, log.get(run_id).note) == (5, "lovely")
    log.rate(run_id, favourite=True)
    assert log.get(run_id).favourite
    log.rate(run_id, rating=0, note="", favourite=False)
    assert (log.get(run_id).rating, log.get(run_id).note, log.get(run_id).favourite) == (None, None, False)


def test_a_row_names_its_files_and_holds_none_of_their_bytes(log: Log, home: Path) -> None:
    """Name, hash and parent come back, alone and in a list, with the place of the copy in whatever home this is."""
    path = image_place(home, "ab" * 32, "image/png")
    fox = InputFile("ab" * 32, "fox.png", path, 5_000_000, "image/png", 64, 48, parent="the run before")
    asked = request(image=fox, image_input=["https://example.com/owl.png", replace(fox, parent=None)])
    (run_id,) = intended(log, asked)
    run = log.get(run_id)
    assert run.request == asked
    assert run.request.key == asked.key
    assert run.parent == "the run before"
    assert run.request.files == {"image": (fox,), "image_input": (fox,)}
    for name in ("name", "path", "bytes", "mime", "width", "height", "parent"):
        assert getattr(run.request.input["image"], name) == getattr(fox, name), name
    row = frame(log).iloc[0]
    assert row["image_input"] == '["https://example.com/owl.png", "fox.png abababab"]'
    assert row["input_image"] == "fox.png abababab"  # the log has a column `image` of its own
    assert row["parent"] == "the run before"
    with Log(home) as other, other.writing() as conn:
        for place, wrong in enumerate(('{"sha256":"../x","mime":"image/png"}', '{"sha256":7}', "[]", '{"later":1}')):
            damaged = f'{{"image":{{"$file":{wrong}}},"place":{place}}}'
            conn.execute(sa.text("UPDATE runs SET params = :it"), {"it": damaged})
    assert log.get(run_id).request.files == {}  # no row is hidden by what somebody wrote there
    assert frame(log)["input_image"].iloc[0] == '{"$file": {"later": 1}}'
    assert request(image=replace(fox, name="copy.png")).key == request(image=fox).key
    assert request(image=replace(fox, sha256="cd" * 32)).key != request(image=fox).key


@pytest.mark.parametrize("rating", [6, -1, 2.5, True, "5"])
def test_a_rating_is_a_whole_number_from_one_to_five(log: Log, rating: Any) -> None:
    """Anything else is refused with what is allowed."""
    (run_id,) = intended(log)
    with pytest.raises(InputError, match="from 1 to 5"):
        log.rate(run_id, rating=rating)


def test_latencies_are_those_of_the_model_newest_first(log: Log) -> None:
    """Seconds the provider says, else from creation to completion; only of what succeeded."""
    first, second, third = intended(log, *[request(str(number)) for number in range(3)])
    log.accept(first, prediction("p1"))
    log.settle(first, Status.SUCCEEDED, prediction=succeeded("p1", total_s=4.0))
    log.accept(second, prediction("p2"))
    log.settle(second, Status.SUCCEEDED, prediction=succeeded("p2", total_s=None, created_at=None))
    log.settle(third, Status.FAILED, prediction=succeeded("p3", total_s=1.0))
    assert log.latencies("google/imagen-4", PROVIDER) == [9.0, 4.0]
    assert log.latencies("google/imagen-4", PROVIDER, limit=1) == [9.0]
    assert log.latencies("google/imagen-4", "another") == []


def test_filters_and_pages(log: Log) -> None:
    """Runs come by experiment, status, text and id, the newest so many, before a given one."""
    foxes = log.intend([request(f"a fox, 100% {number}") for number in range(5)], provider=PROVIDER, experiment="foxes")
    owls = log.intend([request("an OWL_1")], provider=PROVIDER, experiment="owls")
    log.settle(foxes[0], Status.FAILED)

    def found(**filters: Any) -> list[str]:
        return [run.id for run in log.runs(**filters)]

    assert found() == foxes + owls
    assert found(experiment="owls") == found(text="owl_") == owls
    assert found(experiment=["owls", "foxes"], status=["failed", Status.SUCCEEDED]) == foxes[:1]
    assert found(text="100%") == foxes
    assert found(text="x%1") == found(text="owl%") == []
    assert found(limit=2) == [foxes[4], *owls]
    assert found(limit=2, newest_first=True) == [*owls, foxes[4]]
    assert found(limit=2, newest_first=True, before=foxes[4]) == [foxes[3], foxes[2]]
    assert found(ids=[foxes[3], foxes[1], "none"]) == [foxes[1], foxes[3]]
    assert log.count(experiment="foxes") == 5
    assert log.count(status="failed") == 1


def test_a_status_that_does_not_exist_is_refused(log: Log) -> None:
    """The error names the ones that do."""
    with pytest.raises(InputError, match=r"no status 'done'\n.*succeeded"):
        log.runs(status="done")


def test_an_experiment_is_resumed_by_request(log: Log) -> None:
    """Each request is in one place: done, under way, or never sent; a provider's own failure is in none."""
    asked = [request(str(number)) for number in range(5)]
    done, running, refused, failed, again = log.intend(asked, provider=PROVIDER, experiment="e")
    log.settle(done, Status.SUCCEEDED)
    log.accept(running, prediction("p1"))
    log.settle(refused, Status.FAILED, error_code="credit")
    log.accept(failed, prediction("p2"))
    log.settle(failed, Status.FAILED, error="E005")
    log.settle(again, Status.FAILED, error_code="credit")
    (second,) = log.intend([asked[4]], provider=PROVIDER, experiment="e")
    log.settle(second, Status.SUCCEEDED)
    state = log.resume_state("e", PROVIDER)
    assert state.succeeded == {asked[0].key: done, asked[4].key: second}
    assert {key: (row.run_id, row.prediction_id, row.is_free) for key, row in state.open.items()} == {
        asked[1].key: (running, "p1", False)
    }
    assert state.unsent == {asked[2].key: refused}
    assert log.resume_state("e", "another").succeeded == {}
    assert log.resume_state("another").open == {}


AWKWARD = ["\ud83d half", "nul\0inside", "🦊\U0001f3fd", "' OR 1=1 --", "%_\\", "line\r\nbreak", "\u202e", "0"]


@pytest.mark.parametrize("text", AWKWARD)
def test_any_text_comes_back_as_it_was(log: Log, text: str) -> None:
    """Halves of surrogate pairs, NUL, emoji and SQL survive in every column that takes text."""
    asked = request(text, style=text, slots={"x": text, text: 1}, template=text)
    (run_id,) = log.intend([asked], provider=text, experiment=text, tag=text)
    log.accept(run_id, prediction(text, seen_status=text, input={"prompt": text, "x": text}, raw={text: text}))
    log.settle(run_id, Status.FAILED, error=text, error_code=text, cost=0.0, cost_source=text)
    log.rate(run_id, note=text)
    (run,) = log.runs(experiment=text)
    assert run.request == asked
    assert run.request.key == asked.key
    assert {run.provider, run.experiment, run.tag, run.prediction_id, run.error, run.error_code, run.note} == {text}
    assert log.experiments() == [text]
    assert log.find_predictions(text, [text]) == {text}
    assert log.resume_state(text, text).unsent == {}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.text(), json_values, max_size=4), st.dictionaries(st.text(), json_values, max_size=3))
@settings(max_examples=60)
def test_any_request_comes_back_as_it_was(tmp_path_factory: pytest.TempPathFactory, inputs: Any, slots: Any) -> None:
    """Whatever JSON the input holds, with a prompt or without, the request and its key are the same again."""
    asked = Request("m", inputs, template="t", slots=slots, repeat=3)
    with Log(tmp_path_factory.mktemp("home")) as log:
        (run_id,) = log.intend([asked], provider=PROVIDER)
        run = log.get(run_id)
    assert run.request == asked
    assert run.request.key == asked.key


def test_the_raw_reply_is_kept_and_bounded(log: Log) -> None:
    """The last reply is in the log, but not the megabytes of a data: URI, nor endless depth or breadth."""
    (run_id,) = intended(log)
    deep: Any = "bottom"
    for _ in range(200):
        deep = {"in": deep}
    raw = {"id": "p1", "output": "data:image/png;base64," + "A" * 5_000_000, "deep": deep, "logs": ["x" * 9000] * 500}
    log.accept(run_id, prediction(raw={"id": "first"}))
    log.settle(run_id, Status.SUCCEEDED, prediction=succeeded(raw=raw))
    with log.reading() as conn:
        kept = json.loads(conn.execute(sa.select(replies.c.raw)).scalar_one())
    assert kept["id"] == "p1"
    assert kept["output"].startswith("data:image/png")
    assert "logs" not in kept
    assert len(json.dumps(kept)) < 10_000


def test_an_image_outside_the_home_keeps_its_place(log: Log, tmp_path: Path) -> None:
    """A file elsewhere is named by its whole path."""
    path = tmp_path / "elsewhere.jpg"
    (run_id,) = intended(log)
    run = log.settle(run_id, Status.SUCCEEDED, images=[Image(path, "ab" * 32, 1, 1, 1, "image/jpeg")])
    assert run.images[0].path == path


def test_verify_names_what_is_wrong(log: Log, home: Path) -> None:
    """A missing and a cut file are found, each on one line."""
    first, second = intended(log, request("1"), request("2"))
    missing, cut = published(home), published(home, b"not the same bytes")
    log.settle(first, Status.SUCCEEDED, images=[missing])
    log.settle(second, Status.SUCCEEDED, images=[cut])
    assert log.verify() == []
    missing.path.unlink()
    cut.path.write_bytes(b"no")
    assert log.verify() == [
        f"the image images/{missing.sha256[:2]}/{missing.sha256}.jpg of run {first} is missing",
        f"the image images/{cut.sha256[:2]}/{cut.sha256}.jpg of run {second} has 2 bytes instead of 18",
    ]


def test_a_home_can_be_moved(home: Path, tmp_path: Path) -> None:
    """Images are named relative to the home."""
    with Log(home) as log:
        (run_id,) = intended(log)
        log.settle(run_id, Status.SUCCEEDED, images=[published(home)])
    moved = home.rename(tmp_path / "moved")
    with Log(moved) as log:
        assert log.get(run_id).images[0].path.is_relative_to(moved)
        assert log.verify() == []


def test_a_closed_log_says_so(home: Path) -> None:
    """Using it is an error in two lines; closing it again is none."""
    log = Log(home)
    log.close()
    log.close()
    with pytest.raises(LogError, match=r"the log is closed\n"):
        log.runs()


def test_run_ids_go_up_even_when_the_clock_goes_back(home: Path) -> None:
    """Each id is greater than all before it, in this session and the next."""
    moments = iter([NOON, NOON - timedelta(hours=1), NOON - timedelta(hours=2)])
    run_ids = []
    for _ in range(3):
        with Log(home, now=lambda: next(moments)) as log:
            run_ids += log.intend([request(str(number)) for number in range(50)], provider=PROVIDER)
    assert run_ids == sorted(set(run_ids))
