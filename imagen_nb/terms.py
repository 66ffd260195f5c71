"""How requests are to be run, and what may be asked for."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass

from imagen_nb.core.plan import Plan
from imagen_nb.core.values import label, positive, whole
from imagen_nb.core.words import shortened
from imagen_nb.errors import InputError

TIMEOUT_S = 600.0

HOLD_S = 60
"""How long a single create is held open at the provider, the most the API allows, in seconds."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How requests are to be run. `timeout` is seconds for one prediction, `budget` is US dollars for all of them.

    `hold` is for how many seconds (1 to 60) each create is held open at the provider, or None for not at all.
    """

    experiment: str | None = None
    tag: str | None = None
    budget: float | None = None
    resume: bool = False
    jobs: int = 16
    timeout: float = TIMEOUT_S
    hold: int | None = None
    executor: Executor | None = None


def terms_of(
    plan: Plan,
    *,
    experiment: str | None,
    tag: str | None,
    budget: float | None,
    resume: bool,
    jobs: int,
    timeout: float,
    executor: Executor | None,
    hold: int | None,
) -> Terms:
    """The terms for a plan, checked. Raises `InputError` for what cannot be meant."""
    if not isinstance(plan, Plan):
        raise InputError(f"{shortened(plan)} is no plan", "Make one of it with plan(), or use generate().")
    terms = Terms(
        experiment=label("experiment", experiment),
        tag=label("tag", tag),
        budget=_budget(budget, plan),
        resume=resume,
        jobs=whole("jobs", jobs),
        timeout=positive("timeout", timeout),
        hold=_hold(hold, len(plan)),
        executor=executor,
    )
    if resume and not terms.experiment:
        raise InputError("resume needs the experiment to go on with", "Add -e NAME (experiment=NAME in Python).")
    return terms


def _hold(hold: int | None, count: int) -> int | None:
    """For how many seconds each create is held: 0 is not at all, and without a word a single one is."""
    if hold is None:
        return HOLD_S if count == 1 else None
    return None if hold == 0 else whole("hold", hold, most=HOLD_S)


def _budget(budget: float | None, plan: Plan) -> float | None:
    if budget is None:
        return None
    budget = positive("budget", budget)
    if plan.cost is None:
        raise InputError(
            "a budget needs a price, and the price of a model in this plan is unknown",
            "Give it in US dollars an image: %config ImagenMagics.prices, or Workspace(prices={...}).",
        )
    return budget
