"""Every error says in two lines what happened and what to do: no token, no traceback, no "None", for any mistake."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from acts import Act, fin, page, reply, rst, says
from origin import Origin
from providers import CANARY

import imagen_nb as im
from imagen_nb.errors import ImagenError
from imagen_nb.workspace import Workspace

ODD = re.compile(r"\bNone\b|Traceback|\bobject at 0x|<class |\bself\b|\{\}|imagen_nb/|\.py\b")


def check(message: str) -> None:
    """One line of words."""
    assert message.strip()
    assert "\n" not in message.strip()
    assert CANARY not in message
    assert not ODD.search(message), message
    assert len(message) < 500


def check_error(error: ImagenError) -> None:
    check(error.message)
    check(error.hint)
    assert len(error._render_traceback_()) == 2
    assert CANARY not in repr(error) + repr(error.args)


# -- what a provider may answer ----------------------------------------------------------------------------------------

BODIES: dict[str, Callable[[int], Act]] = {
    "nothing": lambda status: reply(b"", status),
    "null": lambda status: says(None, status),
    "empty object": lambda status: says({}, status),
    "nulls": lambda status: says({"title": None, "detail": None, "status": None, "error": None}, status),
    "gateway": lambda status: says({"error": {"message": None, "type": None, "code": None, "param": None}}, status),
    "task": lambda status: says({"code": None, "message": None, "data": None}, status),
    "fields": lambda status: says({"invalid_fields": [{"field": None, "description": None}, None]}, status),
    "list": lambda status: says([None, {"detail": None}], status),
    "HTML": lambda status: page(status, ""),
    "token": lambda status: says({"detail": f"token {CANARY} is wrong\n\n\x1b[31m"}, status),
    "long": lambda status: says({"detail": "why " * 5000}, status),
}
PASSING = {401, 403, 409}
"""What the API itself does not say of a token that has worked, and a lack of room: then the create is sent again."""
STATUSES = [400, 401, 402, 403, 404, 405, 409, 410, 413, 418, 422, 451, 501, 307]


@pytest.mark.parametrize("body", BODIES)
def test_every_refusal_reads_well(ws: Workspace, api: Origin, body: str) -> None:
    """Whatever stands in a refusal, or does not, the error and the row have one readable line each."""
    refused = 0
    for status in STATUSES:
        api.fault("create", instead=[BODIES[body](status)], times=1)
        try:
            ws.generate("a fox")
        except ImagenError as error:
            refused += 1
            check_error(error)
        else:
            assert status in PASSING, status  # it was waited for, and the create was taken
    errors = ws.frame().error.dropna()
    for text in errors:
        check(text)
    assert len(errors) == refused >= len(STATUSES) - len(PASSING)


LOSSES: dict[str, Act] = {
    "fin": fin,
    "rst": rst,
    "502": page(502, ""),
    "HTML": page(200),
    "nulls": says({"id": None}, 201),
}


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("lists", [True, False], ids=["listed", "unlisted"])
def test_every_lost_create_reads_well(ws: Workspace, api: Origin, loss: str, lists: bool) -> None:
    """A create of unknown fate, with a list or without, says what is known and what to do about it."""
    api.lists = lists
    api.fault("create", instead=[LOSSES[loss]], times=None if not lists else 1)
    if lists:
        api.fault("create", instead=[says({"title": None}, 402)])
    with pytest.raises(ImagenError) as caught:
        ws.generate("a fox")
    check_error(caught.value)
    for text in ws.frame().error:
        check(text)


REASONS: list[Any] = [None, "", {}, [], {"message": None}, {"detail": [None]}, 7, False, ["x"], "None" + "theless"]


@pytest.mark.parametrize("status", ["failed", "canceled", "aborted", "succeeded"])
def test_every_end_without_an_image_reads_well(ws: Workspace, api: Origin, status: str) -> None:
    """A prediction that ends without an image says why, or that nobody said why; and so do its views."""
    for reason in REASONS:
        api.answer = lambda _, reason=reason: {"status": status, "error": reason, "output": None, "metrics": None}  # type: ignore[misc] # a default
        run = ws.generate("a fox")
        check(str(run.error))
        assert run.error is not None
        shown = ws.show(run)
        assert not re.search(r"\bNone\b", shown["text/plain"] + shown["text/html"])
        assert not re.search(r"\bNone\b", repr(run))


# -- what a user may type ----------------------------------------------------------------------------------------------

MISTAKES: dict[str, Callable[[Workspace], object]] = {
    "home": lambda _: Workspace(3),  # type: ignore[arg-type] # that is the mistake
    "home with NUL": lambda _: Workspace("a\0b"),
    "provider": lambda ws: Workspace(ws.home, provider=3),  # type: ignore[arg-type]
    "provider's name": lambda ws: Workspace(ws.home, provider="replicat"),
    "provider's URL": lambda ws: Workspace(ws.home, provider="http://example.org"),
    "provider's password": lambda ws: Workspace(ws.home, provider=f"https://me:{CANARY}@example.org"),
    "no token": lambda ws: Workspace(ws.home, provider="replicate"),
    "token": lambda ws: Workspace(ws.home, provider="replicate", token=f"{CANARY}\nX"),
    "model": lambda ws: Workspace(ws.home, model="nonsense"),
    "prices": lambda ws: Workspace(ws.home, prices=3),  # type: ignore[arg-type]
    "price": lambda ws: (
        Workspace(ws.home, provider=ws.provider.base_url, prices={"google/imagen-4": "x"}).plan("a").cost
    ),  # type: ignore[dict-item]
    "thumbnail": lambda ws: Workspace(ws.home, thumbnail="x"),  # type: ignore[arg-type]
    "jobs": lambda ws: Workspace(ws.home, jobs=1.5),  # type: ignore[arg-type]
    "settle_s": lambda ws: Workspace(ws.home, settle_s=-1),
    "prompt": lambda ws: ws.generate(3),  # type: ignore[arg-type]
    "no prompt": lambda ws: ws.generate(None),  # type: ignore[arg-type]
    "empty prompt": lambda ws: ws.generate(" "),
    "two prompts": lambda ws: ws.generate("{a|b}"),
    "unknown slot": lambda ws: ws.generate("a {animal}"),
    "unknown name": lambda ws: ws.generate("a fox", aspect="1:1"),
    "value": lambda ws: ws.generate("a fox", aspect_ratio="2:1"),
    "no value": lambda ws: ws.generate("a {x}", x=None),
    "params": lambda ws: ws.generate("a fox", params=3),  # type: ignore[arg-type]
    "slots": lambda ws: ws.generate("a fox", slots=[3]),  # type: ignore[arg-type]
    "timeout": lambda ws: ws.generate("a fox", timeout="x"),  # type: ignore[arg-type]
    "endless timeout": lambda ws: ws.generate("a fox", timeout=math.inf),
    "no number for a timeout": lambda ws: ws.generate("a fox", timeout=math.nan),
    "tag": lambda ws: ws.generate("a fox", tag=3),  # type: ignore[arg-type]
    "plan": lambda ws: ws.submit("a fox"),  # type: ignore[arg-type]
    "no plan": lambda ws: ws.run(None),  # type: ignore[arg-type]
    "repeat": lambda ws: ws.plan("a fox", repeat=0),
    "no prompts": lambda ws: ws.plan([]),
    "no text": lambda ws: ws.plan(object()),
    "no file": lambda ws: ws.plan(Path("nowhere.csv")),
    "a file for a prompt": lambda ws: ws.generate(Path("prompts.csv")),  # type: ignore[arg-type]
    "budget": lambda ws: ws.run(ws.plan("a fox"), budget=math.nan),
    "run's jobs": lambda ws: ws.run(ws.plan("a fox"), jobs=0),
    "hold": lambda ws: ws.run(ws.plan("a fox"), hold=61),
    "hold's type": lambda ws: ws.run(ws.plan("a fox"), hold="x"),  # type: ignore[arg-type]
    "resume": lambda ws: ws.run(ws.plan("a fox"), resume=True),
    "reconcile": lambda ws: ws.reconcile(timeout="x"),  # type: ignore[arg-type]
    "experiment": lambda ws: ws.frame(experiment=object()),  # type: ignore[arg-type]
    "status": lambda ws: ws.frame(status="nonsense"),
    "status's type": lambda ws: ws.frame(status=3),  # type: ignore[arg-type]
    "run id": lambda ws: ws.rate("nosuchrun", 3),
    "rating": lambda ws: ws.rate("nosuchrun", 9),
    "report": lambda ws: _frame(ws).imagen.report(3),
    "report's name": lambda ws: _frame(ws).imagen.report("x.docx"),
    "export": lambda ws: _frame(ws).imagen.export(None),
    "export's name": lambda ws: _frame(ws).imagen.export("a\0b.csv"),
    "grid": lambda ws: _frame(ws).imagen.grid(rows="nonsense"),
    "compare": lambda ws: _frame(ws).imagen.compare("x", "y"),
    "login": lambda _: im.login(3, token=CANARY),  # type: ignore[arg-type]
    "login's token": lambda _: im.login("replicate", token=f"{CANARY} {CANARY}"),
}


def _frame(ws: Workspace) -> Any:
    ws.generate("a fox")
    return ws.frame()


@pytest.mark.parametrize("mistake", MISTAKES)
def test_every_mistake_is_two_lines(ws: Workspace, api: Origin, mistake: str) -> None:
    """Nothing that a user types ends in a traceback: an error of the package's own, before anything is sent for it."""
    needs_a_run = "_frame" in MISTAKES[mistake].__code__.co_names
    with pytest.raises(ImagenError) as caught:
        MISTAKES[mistake](ws)
    check_error(caught.value)
    assert len(api.bills) == needs_a_run
