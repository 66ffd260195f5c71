"""A budget is never passed by what the published rules say: the simulator bills by them with arithmetic of its own."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import PIL.Image
import pytest

from imagen_nb import Workspace
from imagen_nb.errors import InputError
from imagen_nb.planning.models import ModelSpec, catalogue_names, catalogue_spec
from imagen_nb.records import NOT_AS_ASKED, Status
from imagen_nb.simulator import Simulator
from imagen_nb.views.words import dollars

PLANS, LOTS = 50, 4
ELSEWHERE = "https://example.com/fox.png"
FREE = ("go_fast", "raw", "sequential_image_generation", "output_megapixels")


def flat(width: int, height: int, fmt: str, **_: Any) -> bytes:  # noqa: ARG001 - as the simulator calls it
    """A picture of that size that is quickly made and read."""
    buffer = io.BytesIO()
    PIL.Image.new("1", (width, height)).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator(latency=0, paint=flat) as started:
        yield started


@pytest.fixture
def ws(simulator: Simulator, home: Path) -> Iterator[Workspace]:
    with Workspace(home=home, provider=simulator.base_url) as opened:
        yield opened


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Files of about a quarter, one, a little more than one, and four megapixels."""
    folder = tmp_path_factory.mktemp("pictures")
    sizes = [(512, 512), (1024, 1024), (1030, 1030), (2300, 1800)]
    for width, height in sizes:
        (folder / f"{width}.png").write_bytes(flat(width, height, "png"))
    return [str(folder / f"{width}.png") for width, _ in sizes]


def inputs(spec: ModelSpec, dice: random.Random, pictures: list[str]) -> dict[str, Any]:
    """Values of up to three inputs that its price may go by, some of them as axes."""
    deciding = [name for name in spec.params if name in spec.priced_by or name in FREE]
    given: dict[str, Any] = {}
    for name in dice.sample(deciding, min(3, len(deciding))):
        param = spec.params[name]
        if param.is_file:
            some = [dice.choice([*pictures, ELSEWHERE]) for _ in range(dice.randint(1, 3))]
            given[name] = some if param.type == "array" else some[0]
        elif param.enum:
            given[name] = dice.sample(param.enum, dice.randint(1, 2))
        elif param.type == "integer" and param.maximum:
            given[name] = dice.randint(int(param.minimum or 1), min(int(param.maximum), 2000))
        elif param.type == "boolean":
            given[name] = [True, False]
        elif name == "output_megapixels":
            given[name] = dice.choice(["0.5", "1", "2"])
    return given


@pytest.mark.parametrize("lot", range(LOTS))
def test_a_budget_is_never_passed(ws: Workspace, simulator: Simulator, pictures: list[str], lot: int) -> None:
    """Of 200 random plans over all rules none is billed more than its budget, or its estimate; and each one ends."""
    dice, stopped = random.Random(lot), 0  # noqa: S311 - plans must repeat
    for _ in range(PLANS):
        names = [name for name in catalogue_names() if known(name).output != "text"]
        name = dice.choice(names)
        given = inputs(known(name), dice, pictures)
        plan = ws.plan("a fox", model=name, repeat=dice.randint(1, 2), params=given)
        if len(plan) > 4:
            plan = ws.plan("a fox", model=name, params=given, sample=4)
        assert plan.cost is not None
        budget = max(1e-6, plan.cost * dice.uniform(0.2, 1.2))
        before = simulator.billed
        runs = ws.submit(plan, budget=budget, jobs=dice.randint(1, 4))
        assert runs.is_done_within(60), (name, given)
        assert {run.status for run in runs} <= {Status.SUCCEEDED}, [run.error for run in runs]
        billed = simulator.billed - before
        assert billed <= budget + 1e-9, (name, given)
        assert billed <= plan.cost + 1e-9
        assert (len(runs) < len(plan)) == (runs.progress().message == f"the budget of {dollars(budget)} is reached")
        stopped += len(runs) < len(plan)
        if ELSEWHERE not in str(given):  # the size of which only its own server knows
            assert sum(run.cost or 0 for run in runs) == pytest.approx(billed, abs=1e-9), (name, given)
    assert PLANS / 4 < stopped < PLANS


def known(name: str) -> ModelSpec:
    spec = catalogue_spec(name)
    assert spec is not None
    return spec


@pytest.mark.parametrize("name", [name for name in catalogue_names() if known(name).output == "text"])
def test_what_only_the_reply_tells_is_paid_for_as_it_says(ws: Workspace, simulator: Simulator, name: str) -> None:
    """A price by the metrics is refused a budget, and is what the simulator bills for afterwards."""
    plan = ws.plan("Is this a fox?", model=name)
    with pytest.raises(InputError, match=f"needs a price, and that of {name} is unknown"):
        ws.run(plan, budget=1.0)
    (run,) = ws.run(plan)
    assert run.text
    assert run.cost
    assert run.cost == pytest.approx(simulator.billed, abs=1e-9)


def test_a_rule_of_ones_own_holds_for_plan_budget_and_row(simulator: Simulator, home: Path) -> None:
    """`prices=` takes the rule in place of the list price, everywhere."""
    rule = {"run": 0.01, "image": {"by": "aspect_ratio", "prices": {"1:1": 0.02, "16:9": 0.05}}}
    with Workspace(home=home, provider=simulator.base_url, prices={"google/imagen-4": rule}) as ws:
        plan = ws.plan("a fox", aspect_ratio=["1:1", "16:9"], repeat=3)
        assert plan.cost == 0.27
        runs = ws.run(plan, budget=0.10)
        assert [run.cost for run in runs] == [0.03] * 3
        assert {run.cost_source for run in runs} == {"prices setting"}


def test_the_simulators_prices_are_called_simulated(home: Path) -> None:
    """In a plan, before a yes, in a row, and in how far it is."""
    with Workspace(home=home, provider="simulator") as ws:
        plan = ws.plan("a fox", model="google/imagen-4-fast", repeat=2)
        assert plan.price_words == "about $0.04, simulated"
        assert "about $0.04, simulated" in repr(plan)
        assert "$0.04, simulated" in plan._repr_mimebundle_()["text/plain"]
        runs = ws.run(plan)
        assert {run.cost_source for run in runs} == {"simulated"}
        assert runs.progress().is_simulated


def test_what_is_not_as_asked_is_in_the_row_and_said_once(home: Path) -> None:
    """Pictures of another shape than asked for succeed, each with the reason, and the sweep says it once."""

    def square(width: int, height: int, fmt: str, **more: Any) -> bytes:
        return flat(min(width, height), min(width, height), fmt, **more)

    with Simulator(latency=0, paint=square) as simulator, Workspace(home=home, provider=simulator.base_url) as ws:
        runs = ws.run(ws.plan("a fox", aspect_ratio=["1:1", "16:9"], repeat=2))
        assert [run.error_code for run in runs] == [None, None, NOT_AS_ASKED, NOT_AS_ASKED]
        assert {run.status for run in runs} == {Status.SUCCEEDED}
        side = runs[2].images[0].width
        assert runs[2].error == f"{side}x{side} pixels came, 16:9 was asked for"
        assert runs.progress().message == f"not as asked for: {runs[2].error}"
        assert list(ws.frame()["error_code"].dropna()) == [NOT_AS_ASKED] * 2


def test_a_retired_model_is_said_before_its_first_send(home: Path) -> None:
    """With a real provider one notice names what follows it, whatever is planned; with the simulator none does."""
    with Workspace(home=home, provider="replicate", token="r8_x") as ws:
        for _ in range(2):
            ws.plan("a fox")
        (notice,) = [each for each in ws.notices if "shut down" in each]
        assert "google/nano-banana-2 follows it" in notice
    with Workspace(home=home, provider="simulator") as ws:
        ws.plan("a fox")
        assert not [each for each in ws.notices if "shut down" in each]
