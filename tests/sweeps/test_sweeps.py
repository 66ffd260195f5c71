"""Plans on their way: what is sent, what is logged, what stops a sweep and what does not."""

from __future__ import annotations

import copy
import pickle
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
from acts import page, says
from ledger import until
from origin import Origin

from imagen_nb.api.model_specs import ModelSpecs
from imagen_nb.errors import (
    AuthenticationError,
    CreditError,
    ImagenError,
    InputError,
    LogError,
    RejectedError,
    UncertainError,
)
from imagen_nb.log.log import Log
from imagen_nb.planning.models import unknown_spec
from imagen_nb.records import Status
from imagen_nb.simulator import Simulator
from imagen_nb.sweeps.sweep import Runs
from imagen_nb.workspace import Workspace


@pytest.fixture
def workspace(home: Path, simulator: Simulator) -> Iterator[Workspace]:
    with Workspace(home, provider=simulator.base_url, settle_s=1.0) as opened:
        yield opened


def test_one_prompt_is_one_prediction_one_row_and_one_file(workspace: Workspace, simulator: Simulator) -> None:
    """generate() sends exactly what was asked and gives the run with its image on disk."""
    run = workspace.generate("a red fox", aspect_ratio="16:9", tag="first")
    assert run.status is Status.SUCCEEDED
    assert run.images[0].path.read_bytes()
    assert (run.images[0].width, run.images[0].height) == (1408, 768)
    assert [each["input"]["prompt"] for each in simulator.predictions] == ["a red fox"]
    row = workspace.frame().iloc[0]
    assert (row.prompt, row.aspect_ratio, row.status, row.tag) == ("a red fox", "16:9", "succeeded", "first")
    assert row.prediction_id == simulator.predictions[0]["id"]


def test_a_plan_runs_in_its_order_whatever_ends_first(workspace: Workspace) -> None:
    """The handle is a sequence in the plan's order, and its frame has the same rows; the log keeps that order too."""
    plan = workspace.plan("a {animal} in {style}", animal=["fox", "owl"], style=["oil", "ink"], repeat=2)
    runs = workspace.run(plan, experiment="animals")
    assert [run.request for run in runs] == list(plan)
    assert list(runs.frame().index) == list(workspace.frame().index) == [run.id for run in runs]
    assert Counter(runs.frame().animal) == {"fox": 4, "owl": 4}
    assert runs.progress().state == "ended"


def test_the_events_tell_every_change_of_a_run(workspace: Workspace) -> None:
    """A row is an intent first, and has one event for each status it was seen in."""
    run = workspace.generate("a fox")
    events = workspace.events()
    seen = list(events[events.run_id == run.id].status)
    assert seen[0] == "intent"
    assert seen[-1] == "succeeded"


@pytest.mark.parametrize(
    ("prompt", "code", "said"), [("[blocked] a fox", "blocked", "E005"), ("[fail] a fox", "failed", "error")]
)
def test_a_prediction_that_fails_is_a_result(workspace: Workspace, prompt: str, code: str, said: str) -> None:
    """Failed and blocked predictions come back as runs that say why; they do not raise."""
    run = workspace.generate(prompt)
    assert (run.status, run.error_code, run.cost) == (Status.FAILED, code, None)
    assert run.error is not None
    assert said in run.error


def test_a_prediction_that_fails_without_a_reason_is_said_to_have_none(home: Path) -> None:
    """The provider's `error` is null, and the run's says that no reason was given."""
    with Origin(answer=lambda _: {"status": "failed", "output": None}) as api, Workspace(home, api.base_url) as ws:
        run = ws.generate("a fox")
    assert (run.status, run.error_code, run.cost) == (Status.FAILED, "failed", None)
    assert "reason" in str(run.error)


def test_one_failure_does_not_stop_the_others(workspace: Workspace) -> None:
    """A blocked prompt in the middle of a sweep leaves the rest alone."""
    runs = workspace.run(workspace.plan("{a fox|[blocked]|an owl}"))
    assert [run.status for run in runs] == [Status.SUCCEEDED, Status.FAILED, Status.SUCCEEDED]


def test_a_wrong_token_stops_the_sweep_and_is_in_the_log(home: Path) -> None:
    """A 401 raises after at most one refusal for each worker; nothing is billed."""
    with Simulator(token="right") as locked, Workspace(home, provider=locked.base_url, token="wrong", jobs=2) as ws:
        with pytest.raises(AuthenticationError):
            ws.run(ws.plan("{a|b|c|d|e|f|g|h} fox"))
        assert locked.predictions == []
        assert set(ws.frame().error_code) == {"unauthenticated"}
        assert len(ws.frame()) <= 2


def test_no_credit_stops_the_sweep_and_keeps_what_was_paid_for(home: Path) -> None:
    """A 402 in mid-sweep sends nothing more, and what was accepted before still gets its image."""
    with Origin(latency=0.05) as api, Workspace(home, provider=api.base_url) as ws:
        runs = ws.submit(ws.plan("fox {n}", n=[str(n) for n in range(30)]), jobs=3)
        until(lambda: len(api.bills) >= 6)
        api.fault("create", instead=[says({"title": "Insufficient credit", "status": 402}, 402)])
        with pytest.raises(CreditError):
            runs.wait()
        frame = ws.frame()
        assert (frame.status == "succeeded").sum() == len(api.bills)
        assert len(frame) < 30


def test_an_input_that_only_the_provider_refuses_raises_for_one_and_not_for_many(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A 422 is the one request's error, with field and reason; in a sweep it is that row's."""
    monkeypatch.setattr(ModelSpecs, "get", lambda _, model: unknown_spec(model))
    with pytest.raises(RejectedError) as caught:
        workspace.generate("a fox", params={"aspect_ratio": "2:1"})
    assert "aspect_ratio" in caught.value.message
    runs = workspace.run(workspace.plan("a fox", params={"aspect_ratio": ["2:1", "1:1"]}))
    assert [run.status for run in runs] == [Status.FAILED, Status.SUCCEEDED]


def test_a_budget_is_never_passed(workspace: Workspace, simulator: Simulator) -> None:
    """Each estimate is reserved before its create; the sweep ends cleanly, and says why."""
    runs = workspace.run(workspace.plan("a fox", repeat=10), budget=0.13)
    assert len(simulator.predictions) == 3
    assert "budget" in str(runs.progress().message)
    assert len(runs) == 3


def test_a_budget_needs_a_price(home: Path, simulator: Simulator) -> None:
    """An unknown price and a budget are one line, before anything is sent."""
    with (
        Workspace(home, provider=simulator.base_url, model="some/body") as ws,
        pytest.raises(InputError, match="price"),
    ):
        ws.run(ws.plan("a fox"), budget=1.0)
    assert simulator.predictions == []


def test_resume_sends_only_what_is_missing(workspace: Workspace, simulator: Simulator) -> None:
    """After an interrupt, --resume completes the experiment; the runs of before count as its own."""
    plan = workspace.plan("fox {n}", n=[str(n) for n in range(12)])
    runs = workspace.submit(plan, experiment="foxes", jobs=2)
    until(lambda: runs.progress().done >= 4)
    runs.cancel()
    until(lambda: runs.is_done)
    again = workspace.run(plan, experiment="foxes", resume=True)
    assert [run.request for run in again] == list(plan)
    assert {run.status for run in again} == {Status.SUCCEEDED}
    succeeded = [each for each in simulator.predictions if each["status"] == "succeeded"]
    assert len(succeeded) == 12
    assert len(simulator.predictions) == len(workspace.frame().prediction_id.dropna())


def test_resume_does_not_take_a_changed_request_for_the_old_one(workspace: Workspace, simulator: Simulator) -> None:
    """Another template, parameter or model is another request: stale images are never reused."""
    workspace.run(workspace.plan("a fox"), experiment="e")
    for plan in (
        workspace.plan("a {fox|owl}"),
        workspace.plan("a fox", aspect_ratio="16:9"),
        workspace.plan("a fox", model="google/imagen-4-fast"),
    ):
        assert workspace.run(plan, experiment="e", resume=True).progress().skipped == 0
    assert workspace.run(workspace.plan("a fox"), experiment="e", resume=True).progress().skipped == 1
    assert len(simulator.predictions) == 5


def test_resume_needs_an_experiment(workspace: Workspace) -> None:
    """Without a name there is nothing to go on with."""
    with pytest.raises(InputError, match="experiment"):
        workspace.run(workspace.plan("a fox"), resume=True)


@pytest.mark.parametrize("hold", [None, 60], ids=["polled", "held"])
def test_cancel_reaches_the_provider_and_the_log(home: Path, hold: int | None) -> None:
    """What is in flight is canceled remotely, also while its create is held open and its id not known yet."""
    with Simulator(latency=30.0) as slow, Workspace(home, provider=slow.base_url, jobs=3) as ws:
        runs = ws.submit(ws.plan("a fox", repeat=9), hold=hold)
        until(lambda: len(slow.predictions) == 3)
        began = time.monotonic()
        runs.cancel()
        assert runs.is_done_within(10.0)
        assert time.monotonic() - began < 5.0
        assert {each["status"] for each in slow.predictions} == {"canceled"}
        assert list(ws.frame().status) == ["canceled"] * 3


def test_a_prediction_that_never_ends_is_given_up_and_canceled(home: Path) -> None:
    """After its timeout a run is canceled at the provider and logged as such."""
    with Simulator(latency=30.0) as slow, Workspace(home, provider=slow.base_url) as ws:
        run = ws.generate("a fox", timeout=0.5)
        assert (run.status, run.error_code) == (Status.CANCELED, "timeout")
        assert [each["status"] for each in slow.predictions] == ["canceled"]


def test_what_cannot_be_canceled_stays_open_for_later(home: Path) -> None:
    """Where the provider offers no cancellation the row stays unknown with its id, and reconcile() settles it."""
    with Origin(latency=1.5) as slow, Workspace(home, provider=slow.base_url) as ws:
        slow.fault("cancel", instead=[says({"detail": "The requested resource could not be found."}, 404)])
        run = ws.generate("a fox", timeout=0.2)
        assert run.status is Status.UNKNOWN
        assert run.prediction_id
        (settled,) = ws.reconcile()
        assert (settled.id, settled.status) == (run.id, Status.SUCCEEDED)
        assert len(ws.reconcile()) == 0


@pytest.mark.parametrize("kind", ["threads", "processes"])
def test_any_executor_can_collect(workspace: Workspace, kind: str) -> None:
    """Waiting and fetching run on whatever executor is given; the log is written here."""
    plan = workspace.plan("fox {n}", n=["1", "2", "3"])
    pool = ThreadPoolExecutor(2) if kind == "threads" else ProcessPoolExecutor(1, mp_context=get_context("spawn"))
    with pool:
        runs = workspace.run(plan, executor=pool)
    assert {run.status for run in runs} == {Status.SUCCEEDED}
    assert all(run.images[0].path.is_file() for run in runs)


def _few_threads(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    start = threading.Thread.start

    def limited(self: threading.Thread) -> None:
        if self.name.startswith("imagen-run-") and int(self.name.rpartition("-")[2]) >= most:
            raise RuntimeError("can't start new thread")
        start(self)

    monkeypatch.setattr(threading.Thread, "start", limited)


def test_a_system_that_gives_few_threads_is_enough(
    workspace: Workspace, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The workers that could be started do all the work; where not one could, that is said and nothing is sent."""
    _few_threads(monkeypatch, 2)
    assert {run.status for run in workspace.run(workspace.plan("a fox", repeat=6), jobs=6)} == {Status.SUCCEEDED}
    monkeypatch.undo()
    _few_threads(monkeypatch, 0)
    with pytest.raises(ImagenError, match="no more threads"):
        workspace.run(workspace.plan("a fox"))
    assert len(simulator.predictions) == 6
    workspace.close()


def test_many_leftovers_take_few_threads(home: Path, simulator: Simulator) -> None:
    """However many rows a dead process left open, they are settled by a bounded number of workers."""
    with Workspace(home, provider=simulator.base_url, settle_s=0.2) as ws:
        ws.generate("an owl")
        requests = list(ws.plan("fox {n}", n=[str(n) for n in range(300)]))
        with Log(home) as dead:
            dead.intend(requests, provider=ws.provider.name)
        ws.generate("an owl")
        before, most = threading.active_count(), 0
        settled = threading.Event()
        thread = threading.Thread(target=lambda: (ws.reconcile(), settled.set()))
        thread.start()
        while not settled.wait(0.02):
            most = max(most, threading.active_count() - before)
        thread.join(60.0)
        assert most <= 80
        assert list(ws.frame().error_code[1:-1]) == ["not_sent"] * 300


def test_runs_come_as_they_end(home: Path) -> None:
    """as_completed() yields while others are still running."""
    with Simulator(latency=0.2) as quick, Workspace(home, provider=quick.base_url, jobs=1) as ws:
        runs = ws.submit(ws.plan("a fox", repeat=4))
        first = next(iter(runs.as_completed()))
        assert first.status is Status.SUCCEEDED
        assert not runs.is_done
        assert len(list(runs.as_completed())) == 4


def test_in_flight_never_passes_jobs(home: Path) -> None:
    """No more predictions are open at the provider than asked for."""
    with Simulator(latency=0.3) as quick, Workspace(home, provider=quick.base_url) as ws:
        runs = ws.submit(ws.plan("a fox", repeat=12), jobs=4)
        most = 0
        while not runs.is_done:
            most = max(most, sum(each["status"] in ("starting", "processing") for each in quick.predictions))
            time.sleep(0.02)
        assert 2 <= most <= 4


def test_closing_leaves_no_thread_behind(home: Path, simulator: Simulator) -> None:
    """After close() every worker has ended and every row is settled."""
    before = set(threading.enumerate())
    with Workspace(home, provider=simulator.base_url) as ws:
        ws.submit(ws.plan("a fox", repeat=5))
    until(lambda: not [each for each in set(threading.enumerate()) - before if each.name.startswith("imagen-")])
    with Workspace(home, provider=simulator.base_url) as ws:
        assert all(Status(status).is_terminal for status in ws.frame().status)


def test_what_was_not_sent_is_said_where_the_runs_are_shown(workspace: Workspace) -> None:
    """A sweep that ends at its budget says so in its display, with how many requests are missing."""
    runs = workspace.run(workspace.plan("a fox", repeat=5), budget=0.09)
    for text in runs._repr_mimebundle_().values():
        assert "3 of 5 requests were not sent: the budget of $0.09 is reached." in text


@pytest.mark.parametrize(
    ("lists", "status", "said"),
    [(True, "unknown", "nor enough of ours"), (False, "unknown", "does not list")],
    ids=["nothing of ours in the list", "no list"],
)
def test_one_request_that_was_not_taken_for_sure_raises_with_the_cause(
    home: Path, lists: bool, status: str, said: str
) -> None:
    """A provider that only fails is an error for generate(): cause, fate and next step; the row has them too."""
    with Origin(lists=lists) as broken, Workspace(home, provider=broken.base_url, settle_s=0.3) as ws:
        broken.fault("create", instead=[page(502)])
        with pytest.raises(UncertainError) as caught:
            ws.generate("a fox")
        assert "502" in caught.value.message
        assert said in caught.value.message
        assert caught.value.hint
        row = ws.frame().iloc[0]
        assert (row.status, row.error) == (status, caught.value.message)
        assert broken.bills == []


def test_a_closed_workspace_leaves_no_lock_and_no_unfinished_file(home: Path, simulator: Simulator) -> None:
    """Opened, used and closed several times, the home has its log and its images, and nothing else of a session."""
    for _ in range(3):
        with Workspace(home, provider=simulator.base_url) as ws:
            ws.generate("a fox")
    assert list((home / "sessions").glob("*.lock")) == []
    assert not any((home / "temp").iterdir())


@pytest.mark.parametrize("send", [copy.copy, copy.deepcopy, lambda runs: pickle.loads(pickle.dumps(runs))])  # noqa: S301 - our own
def test_runs_travel_as_values(workspace: Workspace, send: Callable[[Runs], Runs]) -> None:
    """Copied or pickled they are the same runs, look the same and find their rows, also when the workspace is shut."""
    runs = workspace.run(workspace.plan("a {fox|owl [fail]}"))
    workspace.close()
    sent = send(runs)
    assert sent == runs
    assert hash(sent) == hash(runs)
    assert [run.request.prompt for run in sent] == ["a fox", "a owl [fail]"]
    assert sent._repr_mimebundle_() == runs._repr_mimebundle_()
    assert repr(sent.wait().cancel()) == repr(runs)
    assert list(sent.as_completed()) == list(runs.as_completed())
    assert sent.frame().equals(runs.frame())
    shutil.rmtree(workspace.home)
    with pytest.raises(LogError, match="the log of these runs is not in"):
        send(sent).frame()
    assert not workspace.home.exists()


def test_a_copy_of_what_runs_is_what_had_ended(home: Path) -> None:
    """It fills in no more and says so of itself, with the error that stopped the sweep; the original goes on."""
    with Simulator(latency=0.2) as simulator, Workspace(home, provider=simulator.base_url) as ws:
        runs = ws.submit(ws.plan("a fox {x}", x=["1", "[stuck]"]), jobs=2)
        until(lambda: len(runs) == 1)
        sent = pickle.loads(pickle.dumps(runs))  # noqa: S301 - our own
        assert sent.is_done
        assert not runs.is_done
        assert repr(sent) == "<Runs: 1 of 1 ended, 1 succeeded>"
        assert sent != runs.cancel().wait()
    with Simulator(token="right") as simulator, Workspace(home, provider=simulator.base_url, token="wrong") as ws:
        runs = ws.submit(ws.plan("a fox", repeat=3), jobs=1)
        assert runs.is_done_within(30)
        with pytest.raises(AuthenticationError, match="token"):
            copy.deepcopy(runs).wait()
