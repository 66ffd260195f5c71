"""`df.imagen.rate()`: a frame's runs one at a time, from the log and into it."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from controls import until

from imagen_nb.errors import InputError
from imagen_nb.workspace import Workspace


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Asks a widget as its page does, and gives what it answers."""

    def ask(widget: Any, **content: Any) -> Any:
        sent: list[Any] = []
        monkeypatch.setattr(widget, "send", lambda content, *_: sent.append(content))
        widget._handle_custom_msg(content, [])
        return until(lambda: sent)[0]

    return ask


def test_frame_is_rated_in_its_order(workspace: Workspace, told: Any) -> None:
    """The frame says which runs and in which order; what they are is the log's, and there the marks go at once."""
    runs = workspace.run(workspace.plan("a {red|blue|white} fox"))
    frame = workspace.frame().sort_values("prompt").iloc[:2]
    workspace.rate(runs[1].id, 2)  # after the frame was made
    shown = frame.imagen.rate()
    assert told(shown, kind="order")["runs"] == [runs[1].id, runs[0].id]
    assert told(shown, kind="slides", runs=[runs[1].id])["slides"][0][0]["rating"] == 2
    told(shown, kind="rate", run=runs[0].id, marks={"rating": 5, "favourite": True, "status": "failed"})
    rated = workspace.log.get(runs[0].id)
    assert (rated.rating, rated.favourite, str(rated.status)) == (5, True, "succeeded")
    assert "2 runs to rate" in shown._repr_mimebundle_()[0]["text/html"]
    refusal = told(shown, kind="rate", run=runs[0].id, marks={"rating": 9})
    assert "a rating cannot be 9" in refusal["text"]


def test_frame_that_is_of_no_log_cannot_be_rated(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that no log has, and a frame without rows, say so in two lines."""
    monkeypatch.setattr("imagen_nb.shared.default_workspace", lambda: workspace)
    strange = pd.DataFrame({"prompt": ["a fox"], "status": ["failed"]}, index=pd.Index(["1234"], name="run_id"))
    with pytest.raises(InputError, match="1 run of this frame cannot be found in the log"):
        strange.imagen.rate()
    with pytest.raises(InputError, match="this frame has no runs"):
        workspace.frame().imagen.rate()
