"""A bill that no row has: it is named with its id wherever a sweep or reconcile() is shown, and can be made a row."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from acts import Script, rst
from controls import cards, generate, until
from ledger import books
from origin import Origin, Seen
from providers import CANARY

from imagen_nb.cli import main
from imagen_nb.errors import InputError
from imagen_nb.notebook.panel import Panel
from imagen_nb.records import Status
from imagen_nb.workspace import Workspace


def make_twice(api: Origin) -> Callable[[Seen], Script]:
    """What a proxy does that repeats a POST by itself, and then loses the reply."""

    def script(seen: Seen) -> Script:
        api.respond(seen)
        api.respond(seen)
        return [rst]

    return script


@pytest.fixture
def doubled(ws: Workspace, api: Origin) -> str:
    """The id of a prediction more than asked for."""
    api.fault("create", instead=make_twice(api), times=1)
    runs = ws.run(ws.plan(["a fox", "an owl"]), jobs=1)
    assert {run.status for run in runs} == {Status.SUCCEEDED}
    (stray,) = {bill.id for bill in api.bills} - {run.prediction_id for run in runs}
    said = f"1 prediction more than asked for seems to be ours: id {stray}; imagen_nb.reconcile(adopt=[id])"
    for text in runs._repr_mimebundle_().values():
        assert said in text
    return stray


def test_a_prediction_more_than_asked_for_is_named_and_can_be_made_a_row(
    ws: Workspace, api: Origin, doubled: str
) -> None:
    """The sweep's display and reconcile() say its id; adopted it is a row with its image"""
    again = ws.reconcile()
    assert (len(again), doubled in str(again.progress().strays)) == (0, True)
    (run,) = (adopted := ws.reconcile(adopt=[doubled]))
    assert (run.status, run.prediction_id, run.request.prompt, run.tag) == (
        Status.SUCCEEDED,
        doubled,
        "a fox",
        "adopted",
    )
    assert adopted.progress().strays is None
    books(ws.log, api).balance(3)
    with pytest.raises(InputError, match="already"):
        ws.reconcile(adopt=[doubled])
    with pytest.raises(InputError, match="the provider has no prediction 'nobodys'"):
        ws.reconcile(adopt=["nobodys"])
    assert len(ws.frame()) == 3


def test_the_command_line_names_it_and_adopts_it(
    home: Path, api: Origin, doubled: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`imagen-nb reconcile` says the id and what to type; `--adopt` makes the row."""
    monkeypatch.setenv("IMAGEN_NB_TOKEN", CANARY)
    words = ["reconcile", "--home", str(home), "--provider", api.base_url]
    assert main(words) == 0
    assert f"id {doubled}; imagen-nb reconcile --adopt ID" in capsys.readouterr().err
    assert main([*words, "--adopt", doubled]) == 0
    assert "more than asked for" not in capsys.readouterr().err
    books(home, api).balance(3)


def test_the_panel_names_it_on_its_card(ws: Workspace, api: Origin) -> None:
    """What is submitted in the panel says as much as a cell does."""
    ws.generate("an owl")
    api.fault("create", instead=make_twice(api), times=1)
    panel = Panel(ws)
    try:
        generate(panel, "a fox")
        until(lambda: any("1 prediction more than asked for seems to be ours: id" in each for each in cards(panel)))
    finally:
        panel.close()


def test_what_an_open_row_may_be_given_is_not_named(ws: Workspace, api: Origin) -> None:
    """A lost create that is not found yet has its bill: it is the row's, and not one more."""
    api.list_lag = 1.5
    api.fault("create", instead=lambda seen: [rst] if api.respond(seen) else [], times=1)
    ws.run(ws.plan("a fox"))
    api.list_lag = 0.0
    runs = ws.run(ws.plan(["an owl", "a fox"]), jobs=1)
    assert runs.progress().strays is None


def test_nothing_is_listed_for_nothing(ws: Workspace, api: Origin) -> None:
    """A sweep that loses no create asks for no list."""
    ws.run(ws.plan("a fox", repeat=3))
    assert api.of("list") == []
