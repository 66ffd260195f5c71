"""A list that shows something which may be the lost prediction: it is not taken, and nothing is sent again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from acts import rst
from crash import abandon, hold_at
from ledger import books
from origin import Bill, Origin
from providers import CANARY

from imagen_nb.records import Status
from imagen_nb.workspace import Workspace

NEAR: dict[str, Callable[[Bill], Mapping[str, Any]]] = {
    "another name of the model": lambda _: {"model": "google/imagen-4.0-generate"},
    "no time": lambda _: {"created_at": None},
    "no input": lambda _: {"input": None},
    "an input that was removed": lambda _: {"input": {}, "output": None, "data_removed": True},
    "a default that is not ours": lambda bill: {"input": {**bill.input, "aspect_ratio": "16:9"}},
    "a part of the input": lambda bill: {"input": {"prompt": bill.input["prompt"]}},
}


@pytest.mark.parametrize("answer", NEAR.values(), ids=NEAR)
def test_a_near_miss_in_the_list_is_no_proof_of_absence(
    ws: Workspace, api: Origin, answer: Callable[[Bill], Mapping[str, Any]]
) -> None:
    """The row stays unknown, says why, and one create is all that was ever sent; --resume changes nothing about it."""
    api.answer = answer
    api.fault("create", after=[rst], times=1)
    plan = ws.plan("a fox", output_format="png")
    for verb in (
        lambda: ws.run(plan, experiment="e"),
        lambda: ws.run(plan, experiment="e", resume=True),
        ws.reconcile,
    ):
        (run,) = verb()
        assert run.status is Status.UNKNOWN
        assert "shows one that may be it" in str(run.error)
    assert len(api.of("create")) == len(api.bills) == 1


def test_a_name_that_the_provider_gave_the_model_before_is_understood(ws: Workspace, api: Origin) -> None:
    """Once a reply has named it, a lost create under that name is found, and one of another model is no near miss."""
    api.answer = NEAR["another name of the model"]
    assert ws.generate("an owl").status is Status.SUCCEEDED
    api.fault("create", after=[rst], times=1)
    assert ws.generate("a fox").status is Status.SUCCEEDED
    books(ws.log, api).balance(2)
    api.answer = lambda _: {"model": "somebody/else"}
    api.fault("create", instead=[rst], times=1)
    assert ws.run(ws.plan("a cat"))[0].status is Status.SUCCEEDED
    assert len(api.bills) == 3


def test_a_crash_of_yesterday_is_not_billed_again(home: Path, api: Origin) -> None:
    """Its create was accepted, and the provider has removed the input since: --resume leaves the row unknown."""
    hold = hold_at(api, "create", times=1)
    first = Workspace(home, provider=api.base_url, token=CANARY, settle_s=0.6)
    plan = first.plan("a fox")
    first.submit(plan, experiment="e")
    assert hold.reached.wait(20.0)
    abandon(first)
    hold.lift()
    api.answer = NEAR["an input that was removed"]
    with Workspace(home, provider=api.base_url, token=CANARY, settle_s=0.6) as ws:
        (run,) = ws.run(plan, experiment="e", resume=True)
        assert run.status is Status.UNKNOWN
        assert len(api.bills) == 1


def test_what_a_create_under_way_may_be_given_is_left_to_it(ws: Workspace, api: Origin) -> None:
    """Two equal requests, the reply to one lost and the other still held open: each ends with one of the two bills."""
    api.latency = lambda number: 0.1 if number == 0 else 2.0
    api.fault("create", after=[rst], times=1)
    runs = ws.run(ws.plan("a fox", repeat=2), jobs=2, hold=10)
    assert {run.status for run in runs} == {Status.SUCCEEDED}
    books(ws.log, api).balance(2)
