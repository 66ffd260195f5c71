"""Jobs from what the log already holds: an experiment gone on with, and rows that a dead process left behind."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

from imagen_nb.errors import InputError
from imagen_nb.log.log import Log
from imagen_nb.log.queries import Leftover
from imagen_nb.planning.plan import Plan
from imagen_nb.planning.values import is_address
from imagen_nb.records import SHOWN_DIGITS, InputFile, Prediction, Request, Status
from imagen_nb.sweeps.one_request import Job, JobState
from imagen_nb.sweeps.recover import LOOK_BACK, SentCreate

MOST_COUNTED = 100_000
"""Requests of a plan that is looked up in the log before it is confirmed; a larger one is confirmed as a whole."""


def new_jobs(requests: Iterable[Request]) -> Iterator[Job]:
    """A job for each request, all to be sent."""
    return (Job(index, request) for index, request in enumerate(requests))


def jobs_to_resume(
    requests: Iterable[Request], log: Log, experiment: str | None, provider: str, kind: str | None = None
) -> Iterator[Job]:
    """A job for each request of an experiment, or of a kind, that may have been begun before.

    What succeeded is not asked again. What is still running is picked up by its id; what may have been accepted is
    looked for first; what another living process is at is left to it; all else is sent, on its old row if it has one.
    """
    succeeded = log.resume_state(experiment, provider, kind=kind).succeeded
    for index, request in enumerate(requests):
        key = request.key
        if key in succeeded:
            yield Job(index, request, JobState.DONE, run=log.get(succeeded[key]))
            continue
        # Asked anew when its turn has come, which may be hours later: other notebooks are at work too.
        state = log.resume_state(experiment, provider, request=request, kind=kind)
        if key in state.succeeded:
            yield Job(index, request, JobState.DONE, run=log.get(state.succeeded[key]))
        elif key in state.open:
            row = state.open[key]
            mine = log.adopt_rows([row.run_id]) if row.is_free else []
            yield pick_up(index, mine[0], log) if mine else Job(index, request, JobState.DONE, run=log.get(row.run_id))
        elif key in state.unsent:
            yield Job(index, request, JobState.UNSENT, state.unsent[key])
        else:
            yield Job(index, request)


def jobs_left_over(rows: Iterable[Leftover], log: Log) -> Iterator[Job]:
    """A job for each of the rows that nobody drives when its turn comes, only to be settled: nothing is sent."""
    for index, row in enumerate(rows):
        for mine in log.adopt_rows([row.run_id]):
            yield pick_up(index, mine, log, may_send=False)


def pick_up(index: int, row: Leftover, log: Log, *, may_send: bool = True) -> Job:
    """A job that goes on with a row: to collect its prediction, or to find out whether there is one."""
    is_own = row.prediction_id == row.run_id  # who takes our ids forgets what it made, and makes it again
    if row.prediction_id is not None and not (is_own and may_send):
        known, had = Prediction(row.prediction_id, Status.STARTING), log.get(row.run_id).images
        return Job(index, row.request, JobState.ACCEPTED, row.run_id, prediction=known, had=had)
    state = JobState.LOST if may_send else JobState.LOST_DO_NOT_SEND
    create = SentCreate(row.run_id, row.request, row.intended_at, slack=LOOK_BACK)
    return Job(index, row.request, state, row.run_id, create=create)


def job_to_adopt(
    index: int, prediction: Prediction, log: Log, provider: str, keep: Callable[[str], InputFile | str]
) -> Job:
    """A job for a prediction of which there is no row: it gets one, tagged `adopted`.

    `keep` makes a file of what names or holds one: an upload of ours will be gone when the run is made again, and a log
    holds no bytes. Raises `InputError` for a prediction that has its row, or that says too little of itself.
    """
    uploads = log.upload_hashes(provider)

    def with_files(value: Any) -> Any:
        if isinstance(value, list):
            return list(map(with_files, value))
        if isinstance(value, str) and (value in uploads or is_address(value, "data")):
            with suppress(InputError):  # it is damaged, or deleted from the home
                return keep(f"file {uploads[value][:SHOWN_DIGITS]}" if value in uploads else value)
        return value

    if log.find_predictions(provider, [prediction.id]):
        raise InputError(f"the log has the prediction {prediction.id} already", "There is nothing to adopt.")
    prompt, model = prediction.input.get("prompt"), prediction.model
    if not isinstance(prompt, str) or model is None:
        raise InputError(f"the prediction {prediction.id} does not say what it was asked for", "It cannot be adopted.")
    given = {name: value if name == "prompt" else with_files(value) for name, value in prediction.input.items()}
    request = Request(model, given, prompt)
    (run_id,) = log.intend([request], provider=provider, tag="adopted")
    log.accept(run_id, prediction)
    return Job(index, request, JobState.ACCEPTED, run_id, prediction=prediction)


def remaining(plan: Plan, log: Log, experiment: str, provider: str) -> Plan:
    """The requests of the plan that have not succeeded yet: what resuming may send, to be counted and confirmed.

    A plan of more than `MOST_COUNTED` requests is given back whole.
    """
    if len(plan) > MOST_COUNTED:
        return plan
    done = log.resume_state(experiment, provider).succeeded
    indices = range(len(plan)) if plan.chosen is None else plan.chosen
    left = tuple(index for index, request in zip(indices, plan, strict=True) if request.key not in done)
    return replace(plan, chosen=left)
