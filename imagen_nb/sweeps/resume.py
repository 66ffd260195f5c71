"""Tickets from what the log already holds: an experiment gone on with, and rows that a dead process left behind."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from imagen_nb.log.log import Log
from imagen_nb.log.queries import Leftover, ResumeState
from imagen_nb.planning.plan import Plan
from imagen_nb.records import Prediction, Request, Status
from imagen_nb.sweeps.one_request import Ticket

MOST_COUNTED = 100_000
"""Requests of a plan that is looked up in the log before it is confirmed; a larger one is confirmed as a whole."""


def plan_tickets(requests: Iterable[Request]) -> Iterator[Ticket]:
    """A ticket for each request, all to be sent."""
    return (Ticket(index, request) for index, request in enumerate(requests))


def resumed_tickets(requests: Iterable[Request], log: Log, experiment: str, provider: str) -> Iterator[Ticket]:
    """A ticket for each request of an experiment that may have been begun before.

    What succeeded is not asked again. What is still running is picked up by its id; what may have been accepted is
    looked for first; what another living process is at is left to it; all else is sent, on its old row if it has one.
    """
    succeeded = log.resume_state(experiment, provider).succeeded
    for index, request in enumerate(requests):
        if request.key in succeeded:
            yield Ticket(index, request, done=log.get(succeeded[request.key]))
        else:
            # Asked anew when its turn has come, which may be hours later: other notebooks are at work too.
            yield _resumed(index, request, log, log.resume_state(experiment, provider, request=request))


def leftover_tickets(rows: Iterable[Leftover], log: Log) -> Iterator[Ticket]:
    """A ticket for each of the rows that nobody drives when its turn comes, only to be settled: nothing is sent."""
    for index, row in enumerate(rows):
        for adopted in log.adopt_rows([row.run_id]):
            yield _picked_up(index, adopted, may_send=False)


def _resumed(index: int, request: Request, log: Log, state: ResumeState) -> Ticket:
    key = request.key
    if key in state.succeeded:
        return Ticket(index, request, done=log.get(state.succeeded[key]))
    if key in state.open:
        row = state.open[key]
        for adopted in log.adopt_rows([row.run_id]) if row.is_free else ():
            return _picked_up(index, adopted, may_send=True)
        return Ticket(index, request, done=log.get(row.run_id))
    return Ticket(index, request, run_id=state.unsent.get(key), is_ended=key in state.unsent)


def _picked_up(index: int, row: Leftover, *, may_send: bool) -> Ticket:
    known = Prediction(row.prediction_id, Status.STARTING) if row.prediction_id else None
    return Ticket(
        index,
        row.request,
        run_id=row.run_id,
        prediction=known,
        is_lost=known is None,
        may_send=may_send,
        intended_at=row.intended_at,
    )


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
