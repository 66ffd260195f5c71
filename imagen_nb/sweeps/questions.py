"""Models that see, asked about pictures: which of two is better, or one question about each.

What they are asked are predictions as any other: paced, priced, within a budget, and never paid twice. They are rows of
the kind `judge`, and what came of them are votes and scores.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import pandas as pd

from imagen_nb.errors import InputError, brief, comma_list
from imagen_nb.judging.findings import Findings
from imagen_nb.judging.judges import (
    AGREED,
    PAIR_PROMPT,
    QUESTION_PROMPT,
    SWAYED,
    combine,
    find_biases,
    measure_agreement,
    pair_votes,
    read_choice,
    read_truth,
)
from imagen_nb.judging.pairs import Pair
from imagen_nb.judging.scorers import Question, Score, looks, score_pictures
from imagen_nb.log.judgements import add_vote, find_scored, read_votes, votes_frame
from imagen_nb.log.log import Log
from imagen_nb.planning.inputs import ParamSpec
from imagen_nb.planning.models import TOKEN_LIMITS, ModelSpec
from imagen_nb.planning.values import positive_number, whole_number
from imagen_nb.records import SCORE_PREFIX, Image, InputFile, Request, Run
from imagen_nb.sweeps.sweep import Runs
from imagen_nb.views.words import count, dollars

ANSWER_TOKENS = 2048
"""The most tokens of an answer, thinking included, where the model takes a limit: a budget needs one."""

MOST_JUDGES = 3
_NOTHING = 1e-9
"""What is left of a budget, in US dollars, when nothing is."""

COLUMNS = ("judge", "level_a", "level_b", "choice", "chosen_by", "group", "run_a", "run_b", "forth", "back")
"""Of what `judge_with` gives: a row a pair, and what the judge said of it in both orders."""

Watch = Callable[[Runs], Runs]
"""Waits for the end of a sweep, and raises what stopped it."""


class Asker(Protocol):
    """What is needed of a workspace."""

    @property
    def log(self) -> Log: ...
    def spec(self, model: str | None = None) -> ModelSpec: ...
    def input_file(self, value: Any) -> InputFile | str: ...
    def ask(self, requests: Sequence[Request], *, budget: float | None = None) -> Runs: ...


def ask_pictures(
    workspace: Asker, question: Question, pictures: Sequence[Image], *, watch: Watch
) -> Iterator[tuple[str, Mapping[str, Score]]]:
    """Ask a model about each picture, in one sweep; what it answers, by the picture's SHA-256, as far as it came.

    Raises `InputError` for a model that sees none.
    """
    spec = workspace.spec(question.model)
    param = _picture_input(spec, 1)
    prompt = QUESTION_PROMPT.format(question=question.question)
    asked = {each.sha256: _request(spec, param, prompt, [workspace.input_file(each)]) for each in pictures}
    runs = workspace.ask(list(asked.values()))
    try:
        watch(runs)
    finally:
        answers = {run.request.key: run for run in runs}
        for sha256, request in asked.items():
            if run := answers.get(request.key):
                value = read_truth(run.text)
                yield sha256, {"": Score(value, brief(run.text or run.error or "nothing", width=300))}


def judge_with(
    workspace: Asker,
    model: str | Sequence[str],
    pairs: Sequence[Pair],
    runs: Mapping[str, Run],
    *,
    by: str,
    question: str,
    budget: float | None,
    most: int | None,
    watch: Watch,
) -> Findings:
    """Let models judge pairs of these runs, in both orders, and write their votes; a third judges what two differ on.

    Raises `InputError` for models that see no two pictures, a budget that is too small for one pair, and a model that
    says nothing of any pair.
    """
    names = [model] if isinstance(model, str) else list(model)
    if not 1 <= len(set(names)) == len(names) <= MOST_JUDGES:
        raise InputError(
            f"the judges are {comma_list(names) or 'none'}; there are one to {MOST_JUDGES}, each named once",
            "Two judge every pair, and a third those on which they differ.",
        )
    if not isinstance(question, str) or not question.strip():
        raise InputError(f"the question is {brief(question)}, not text", "Ask as in 'Which is better?'.")
    specs = [workspace.spec(name) for name in names]
    inputs = [_picture_input(spec, 2) for spec in specs]
    log, prompt = workspace.log, PAIR_PROMPT.format(question=question)
    asked = _choose(log, pairs, most, question, by)
    files = {run_id: workspace.input_file(runs[run_id].images[0]) for pair in asked for run_id in pair.runs}
    plans = []
    for spec, param in zip(specs, inputs, strict=True):
        sides = {pair: [files[pair.run_a], files[pair.run_b]] for pair in asked}
        both = {
            pair: [_request(spec, param, prompt, each) for each in (some, some[::-1])] for pair, some in sides.items()
        }
        plans.append((spec, both))
        if budget is not None:
            _check_budget(spec, both[asked[0]], positive_number("budget", budget))
    left, spent = budget, 0.0
    verdicts: dict[str, list[_Verdict]] = {}
    for spec, both in plans:
        if len(verdicts) == MOST_JUDGES - 1:
            asked = _differing(*verdicts.values())
        every = {request.key: request for pair in asked for request in both[pair]}
        sweep = workspace.ask(list(every.values()), budget=left)
        try:
            if every:
                watch(sweep)
        finally:  # what is paid for counts, also where it was interrupted
            answers = {run.request.key: run for run in sweep}
            found = [_Verdict(pair, *(answers.get(each.key) for each in both[pair])) for pair in asked]
            _write(log, found, spec.name, question, by)
        cost = sweep.progress().cost or 0.0
        spent, left = spent + cost, None if left is None else max(left - cost, _NOTHING)
        verdicts[spec.name] = found
    simulated = ", simulated" if all(spec.price_source == "simulated" for spec in specs) else ""
    return _findings(log, verdicts, runs, by=by, question=question, spent=f"{dollars(spent)}{simulated}")


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What a judge said of a pair, in both orders; None for a run that never came about."""

    pair: Pair
    forth: Run | None
    back: Run | None

    @property
    def words(self) -> tuple[str | None, str | None]:
        """Its choice in each order, in the words of that order."""
        forth, back = (read_choice(run.text) if run else None for run in (self.forth, self.back))
        return forth, back

    @property
    def choice(self) -> str | None:
        """Its vote; None where an answer says nothing."""
        made = combine(*self.words)
        return made and made[0]

    @property
    def chosen_by(self) -> str:
        """Whether the order swayed it, or there is no vote."""
        made = combine(*self.words)
        return "unscored" if made is None else SWAYED if made[1] else AGREED

    @property
    def said(self) -> list[str | None]:
        """Its two answers, or why there is none."""
        return [run.text or run.error if run else None for run in (self.forth, self.back)]


def _choose(log: Log, pairs: Sequence[Pair], most: int | None, question: str, by: str) -> list[Pair]:
    """Which pairs to ask: those that people judged first, so that they can be compared, and then at random."""
    mixed = random.Random(0).sample(list(pairs), len(pairs))  # noqa: S311 - for fairness, not for secrets
    people = {
        frozenset((vote.run_a, vote.run_b))
        for vote in read_votes(log, question=question, by=by)
        if vote.chosen_by not in (AGREED, SWAYED)
    }
    mixed.sort(key=lambda pair: pair.runs not in people)
    return mixed if most is None else mixed[: whole_number("pairs", most)]


def _differing(one: Sequence[_Verdict], other: Sequence[_Verdict]) -> list[Pair]:
    """The pairs on which two judges differ."""
    return [a.pair for a, b in zip(one, other, strict=True) if a.choice and b.choice and a.choice != b.choice]


def _write(log: Log, verdicts: Sequence[_Verdict], judge: str, question: str, by: str) -> None:
    """Write the votes that this judge has not given before."""
    given = {frozenset((vote.run_a, vote.run_b)) for vote in read_votes(log, question=question, by=by, rater=judge)}
    for each in verdicts:
        if each.choice is not None and each.pair.runs not in given:
            add_vote(log, each.pair.vote(each.choice, by, question, judge, chosen_by=each.chosen_by))


def _findings(
    log: Log,
    verdicts: Mapping[str, Sequence[_Verdict]],
    runs: Mapping[str, Run],
    *,
    by: str,
    question: str,
    spent: str,
) -> Findings:
    """What the judges said, their agreement with people first, and what sways them."""
    judged = {each for found in verdicts.values() for verdict in found for each in verdict.pair.runs}
    figures = _figures(log, [runs[each] for each in judged])
    votes = votes_frame(log, question=question, by=by)
    is_by_model = votes["chosen_by"].isin([AGREED, SWAYED])
    rows: list[tuple[Any, ...]] = []
    sentences = []
    for name, found in verdicts.items():
        scored = [each for each in found if each.choice is not None]
        unscored = [each for each in found if each.choice is None and all(each.said)]
        if unscored and not scored:
            is_prose = any(run is not None and run.text for each in unscored for run in (each.forth, each.back))
            what = "answers neither A, B nor TIE for any pair, but" if is_prose else "judged no pair:"
            raise InputError(
                f"{name} {what} {brief(unscored[0].said[0], width=120)}; it has no vote",
                "Ask so that one word answers it, or choose another model.",
            )
        agreement = measure_agreement(pair_votes(votes[(votes["rater"] == name) | ~is_by_model], name))
        gaps = {
            figure: [
                (values[each.pair.run_a] - values[each.pair.run_b], str(each.choice))
                for each in scored
                if each.pair.runs <= values.keys()
            ]
            for figure, values in figures.items()
        }
        counts = [
            f"{count(len(scored), 'pair')} judged in both orders",
            f"{sum(each.chosen_by == SWAYED for each in scored)} of them ties, as the order swayed it",
            f"{len(unscored)} unscored",
            f"{len(found) - len(scored) - len(unscored)} not asked",
        ]
        said = ", ".join(counts[:1] + [each for each in counts[1:] if not each.startswith("0 ")])
        biases = find_biases([(str(one), str(other)) for one, other in (each.words for each in scored)], gaps)
        sentences += [f"{name}: {agreement}", said, *(f"It {each}" for each in biases)]
        for each in (*scored, *unscored):
            pair = each.pair
            levels, where = (pair.level_a, pair.level_b), (pair.group, pair.run_a, pair.run_b)
            rows.append((name, *levels, each.choice, each.chosen_by, *where, *each.said))
    made: Findings = Findings(pd.DataFrame(rows, columns=list(COLUMNS)))
    made.attrs["sentence"] = ". ".join(sentences) + "."
    made.attrs["note"] = f"Spent now: {spent}; what was answered before is not asked again."
    return made


def _figures(log: Log, runs: Sequence[Run]) -> dict[str, dict[str, float]]:
    """What might sway a judge, by its name: a figure for each run, of its looks or of a scorer that the log knows."""
    found: dict[str, dict[str, float]] = {}
    by_hash = {run.images[0].sha256: run for run in runs}
    looked = dict(score_pictures(looks, [(run, run.images[0]) for run in by_hash.values()]))
    for run in runs:
        for part, each in looked[run.images[0].sha256].items():
            if isinstance(each.value, float):
                found.setdefault(part, {})[run.id] = each.value
    for column, values in find_scored(log, by_hash).items():
        name = column.removeprefix(SCORE_PREFIX)
        known = {run.id: values.get(run.images[0].sha256) for run in runs}
        if name not in found and all(isinstance(each, int | float | None) for each in known.values()):
            found[name] = {run_id: float(each) for run_id, each in known.items() if each is not None}
    return found


# -- what is sent ----------------------------------------------------------------------------------------------------


def _picture_input(spec: ModelSpec, number: int) -> ParamSpec:
    """The model's input for so many pictures. Raises `InputError` for a model that does not see them, or paints."""
    if spec.output not in ("text", None):
        raise InputError(
            f"{spec.name} makes pictures, and a judge answers in words",
            "Choose a model that sees, such as openai/gpt-5-mini: imagen_nb.models() says which.",
        )
    files = [
        each
        for each in spec.params.values()
        if each.is_file and (number == 1 or (each.type == "array" and (each.most is None or each.most >= number)))
    ]
    if not files:
        raise InputError(
            f"{spec.name} takes no {'two pictures' if number > 1 else 'picture'}, as far as is known",
            "Choose a model that sees several, such as openai/gpt-5-mini: imagen_nb.models() says which.",
        )
    return min(files, key=lambda each: "image" not in each.name)


def _request(spec: ModelSpec, param: ParamSpec, prompt: str, files: Sequence[Any]) -> Request:
    limit = next((name for name in TOKEN_LIMITS if name in spec.params), None)
    pictures = list(files) if param.type == "array" else files[0]
    return Request(
        spec.name,
        {"prompt": prompt, param.name: pictures} | ({limit: ANSWER_TOKENS} if limit else {}),
        template=prompt,
    )


def _check_budget(spec: ModelSpec, requests: Sequence[Request], budget: float) -> None:
    """Raise `InputError` where the budget is too small for one pair, or cannot be kept."""
    prices = [spec.most(each.input) for each in requests]
    if None in prices:
        raise InputError(
            f"a budget needs a price, and that of {spec.name} is unknown",
            "Give it in Workspace(prices={...}), or leave budget= out.",
        )
    total = sum(price for price in prices if price is not None)
    if total > budget:
        raise InputError(
            f"a budget of {dollars(budget)} is too small for one pair in both orders: up to {dollars(total)}",
            "Give more; what a pair really costs is counted, and is mostly far less. Nothing was sent.",
        )
