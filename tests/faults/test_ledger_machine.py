"""Whatever is submitted, dropped, crashed, restarted, resumed and reconciled, in any order: the bill is the log."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from acts import fin, page, rst, says
from crash import abandon, hold_at
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from ledger import books
from origin import Origin, throttle
from providers import CANARY

from imagen_nb.planning.plan import Plan
from imagen_nb.records import Status
from imagen_nb.workspace import Workspace

SETTLE_S = 0.15
LIST_LAG_S = 0.05
DROPS = {
    "before": {"instead": [fin]},
    "after": {"after": [rst]},
    "error before": {"instead": [page(502)]},
    "error after": {"after": [page(502)]},
    "no id": {"after": [says({}, 201)]},
}
PLACES = {
    "row written, create refused for now": ("create", {"instead": [throttle(60.0)]}),
    "create sent, never processed": ("create", {"is_done": False}),
    "create processed, reply not read": ("create", {}),
    "accepted, not looked at": ("get", {"is_done": False}),
    "processed, list not read": ("list", {"is_done": False}),
    "succeeded, image not fetched": ("file", {"is_done": False}),
}


class LedgerMachine(RuleBasedStateMachine):
    """One home, one provider, and a user who has bad luck."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(prefix="ledger-")
        self.api = Origin(token=CANARY, list_lag=LIST_LAG_S, latency=0.02)
        self.experiments: dict[str, Plan] = {}
        self.ws = self.opened()
        self.witnesses = 0
        self.make_witness()

    def opened(self) -> Workspace:
        home = Path(self.folder.name) / "home"
        return Workspace(home, provider=self.api.base_url, token=CANARY, settle_s=SETTLE_S)

    def make_witness(self) -> None:
        """A prediction of ours in the list, without which nothing is known to be missing."""
        self.ws.run(self.ws.plan("a witness"))
        self.witnesses += 1

    def planned(self, prompt: str, count: int) -> tuple[Plan, str]:
        name = f"experiment {len(self.experiments)}"
        self.experiments[name] = self.ws.plan(prompt, repeat=count)
        return self.experiments[name], name

    @rule(
        prompt=st.sampled_from(["a fox", "an owl"]),
        count=st.integers(1, 4),
        drops=st.lists(st.sampled_from(sorted(DROPS)), max_size=3),
    )
    def submit(self, prompt: str, count: int, drops: list[str]) -> None:
        """A sweep whose first creates are lost in one way or another."""
        for drop in drops:
            self.api.fault("create", **DROPS[drop], times=1)  # type: ignore[arg-type] # a script by either name
        plan, name = self.planned(prompt, count)
        self.ws.run(plan, experiment=name)
        self.api.heal()

    @rule(place=st.sampled_from(sorted(PLACES)), count=st.integers(1, 3), skip=st.integers(0, 2))
    def crash(self, place: str, count: int, skip: int) -> None:
        """A sweep that dies where the provider holds it, the first requests of that kind having passed."""
        kind, options = PLACES[place]
        if kind == "list":
            self.api.fault("create", after=[rst], times=1)
        reached: Any
        if "instead" in options:
            self.api.fault(kind, **options, skip=skip)
        else:
            hold = hold_at(self.api, kind, **options, skip=skip)
        plan, name = self.planned("a fox", count)
        runs = self.ws.submit(plan, experiment=name)
        reached = (lambda: len(self.api.of(kind))) if "instead" in options else hold.reached.is_set
        while not (reached() or runs.is_done):
            runs.is_done_within(0.01)
        abandon(self.ws)
        self.api.heal()
        self.ws = self.opened()

    @rule()
    def restart(self) -> None:
        self.ws.close()
        self.ws = self.opened()

    @rule(is_offered=st.booleans())
    def list_predictions(self, is_offered: bool) -> None:
        """The provider stops listing, or takes it up again."""
        self.api.lists = is_offered

    @precondition(lambda self: self.experiments)
    @rule(data=st.data())
    def resume(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.experiments)))
        self.ws.run(self.experiments[name], experiment=name, resume=True)

    @rule()
    def reconcile(self) -> None:
        self.make_witness()
        self.ws.reconcile()
        assert len(self.ws.log.leftovers()) == 0 or not self.api.lists

    @invariant()
    def bill_is_log(self) -> None:
        """Nothing is billed twice, and what is billed but not in the log yet has an open row to go to."""
        now = books(self.ws.log, self.api)
        now.check()
        unplaced = len(now.bills) - len(now.claimed)
        assert unplaced <= sum(not row.status.is_terminal and not row.prediction_id for row in now.rows)

    def teardown(self) -> None:
        """In the end everything asked for is there, and paid for once."""
        self.api.heal()
        self.api.lists = True
        self.make_witness()
        for name, plan in self.experiments.items():
            runs = self.ws.run(plan, experiment=name, resume=True)
            assert {run.status for run in runs} == {Status.SUCCEEDED}
        books(self.ws.log, self.api).balance(self.witnesses + sum(map(len, self.experiments.values())))
        assert self.ws.log.verify() == []
        self.ws.close()
        self.api.close()
        self.folder.cleanup()


TestLedger = LedgerMachine.TestCase
TestLedger.settings = settings(
    max_examples=12,
    stateful_step_count=8,
    database=None,
    suppress_health_check=list(HealthCheck),
)
