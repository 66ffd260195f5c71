"""Models as judges: what they are asked and paid, what becomes of their words, and how far they are to be trusted."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imagen_nb.errors import InputError
from imagen_nb.judging import scorers
from imagen_nb.judging.findings import Findings
from imagen_nb.judging.judges import find_biases, measure_agreement, read_choice, read_truth
from imagen_nb.records import JUDGE, Request, Run
from imagen_nb.shared import set_default_workspace
from imagen_nb.simulator import Simulator, answers
from imagen_nb.simulator.catalogue import catalogue
from imagen_nb.simulator.files import Reference
from imagen_nb.sweeps import questions
from imagen_nb.sweeps.sweep import Runs
from imagen_nb.workspace import Workspace

MODEL, OTHER = "openai/gpt-5-mini", "google/gemini-2.5-flash"
ANIMALS = [f"animal {number}" for number in range(16)]
STYLES = {"ink": 90, "oil": 60, "chalk": 30}


def noise(*_: Any, prompt: str, **__: Any) -> bytes:
    """A small picture, the same for the same prompt, with edges as sharp as its style has them."""
    dice = np.random.default_rng(int(hashlib.sha256(prompt.encode()).hexdigest()[:8], 16))
    spread = STYLES[prompt.rpartition(" ")[2]] * dice.uniform(0.7, 1.4)
    file = io.BytesIO()
    Image.fromarray((128 + dice.uniform(-spread, spread, (48, 64, 3))).clip(0, 255).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


@contextmanager
def studied(home: Path, answer: Any = answers.answer, animals: Sequence[str] = ANIMALS) -> Iterator[Any]:
    """A simulator whose text models answer so, and a workspace with a picture of each animal in each style."""
    with (
        Simulator(latency=0, paint=noise, answer=answer) as simulator,
        Workspace(home, provider=simulator.base_url, settle_s=0.1) as ws,
    ):
        set_default_workspace(ws)
        ws.run("{animal} in {style}", animal=list(animals), style=list(STYLES), experiment="x")
        yield ws, simulator


def sent(simulator: Simulator) -> list[Mapping[str, Any]]:
    """What models were asked about pictures, newest first."""
    return [each for each in simulator.predictions if each["model"] != "google/imagen-4"]


def test_a_judge_is_asked_both_ways_and_its_biases_are_found(home: Path) -> None:
    """The simulator's own one: it follows sharpness, and of some pairs likes the first; it is asked and paid once."""
    with studied(home) as (ws, simulator):
        frame = ws.frame()
        made = frame.imagen.judge_with(MODEL, by="style")
        assert isinstance(made, Findings)
        assert made.sentence.startswith(f"{MODEL}: not calibrated: nobody judged the same pairs")
        assert "48 pairs judged in both orders" in made.sentence
        assert re.search(r"It prefers the first picture: in \d+ of 48 pairs", made.sentence)
        assert "It follows sharpness: it chose the higher one in " in made.sentence
        assert len(sent(simulator)) == 96
        votes = ws.votes()
        assert set(votes["rater"]) == {MODEL}
        swayed = votes["chosen_by"] == "swayed"
        assert 3 < swayed.sum() < 24
        assert (votes["choice"] == "tie").tolist() == swayed.tolist()
        assert set(votes["chosen_by"]) == {"swayed", "both orders"}
        again = frame.imagen.judge_with(MODEL, by="style")
        assert (len(sent(simulator)), len(ws.votes())) == (96, 48)
        assert again.plain.equals(made.plain)

        rows = ws.frame(kind=JUDGE)
        assert len(rows) == 96
        assert rows["experiment"].isna().all()
        assert rows["cost_usd"].sum() == pytest.approx(sum(each["usd"] for each in simulator.bills) - 48 * 0.04)
        assert len(ws.frame()) == len(frame) == ws.log.count() == len(ws.log.run_ids()) == len(ws.log.runs())
        assert ws.log.names("model") == ["google/imagen-4"]
        assert ws.log.experiments() == ["x"]

        sharp = frame.imagen.score("sharpness")["score_sharpness"]
        pairs = votes[~swayed].head(24)
        for row in pairs.itertuples():
            ws.vote(row.run_a, row.run_b, "a" if sharp[row.run_a] > sharp[row.run_b] else "b", by="style", rater="Ann")
        told = frame.imagen.judge_with(MODEL, by="style", pairs=24)
        assert told.sentence.startswith(f"{MODEL}: agrees with people at kappa 1.00 (1.00 to 1.00, 24 pairs).")
        assert set(zip(told["run_a"], told["run_b"], strict=True)) == set(
            zip(pairs["run_a"], pairs["run_b"], strict=True)
        )


JUDGES: Mapping[str, tuple[Callable[..., str], list[str]]] = {
    "the first": (lambda *_: "A", ["prefers the first picture: in 18 of 18 pairs, whichever it was"]),
    "the second": (lambda *_: "b, as it is finer.", ["prefers the second picture: in 18 of 18 pairs"]),
    "sharpness": (
        lambda _, each: "A" if each[0].edges > each[1].edges else "B",
        ["follows sharpness: it chose the higher one in 18 of 18 pairs", "follows contrast: it chose the higher one"],
    ),
    "softness": (
        lambda _, each: "A" if each[0].edges < each[1].edges else "B",
        ["follows sharpness: it chose the lower one in 18 of 18 pairs", "follows contrast: it chose the lower one"],
    ),
    "nothing": (lambda _, each: "A" if each[0].sha256 > each[1].sha256 else "B", []),
}


@pytest.mark.parametrize("kind", JUDGES)
def test_a_biased_judge_is_called_so(home: Path, kind: str) -> None:
    """By place or by looks; one that has no bias is called nothing."""
    choose, biases = JUDGES[kind]

    def answer(prompt: str, *, references: Sequence[Reference], **_: Any) -> str:
        return choose(prompt, references)

    with studied(home, answer, ANIMALS[:6]) as (ws, _):
        sentence = ws.frame().imagen.judge_with(MODEL, by="style").sentence
    found = re.findall(r"It ((?:prefers|follows) \w+)", sentence)
    for bias in biases:
        assert bias in sentence
    if kind in ("the first", "the second", "nothing"):
        assert len(found) == len(biases)


def test_prose_is_no_vote(home: Path) -> None:
    """Of some pairs it is unscored, with what was said; where it is all there is, that is an error in two lines."""

    def answer(prompt: str, *, references: Sequence[Reference], **_: Any) -> str:
        is_prose = "Well" in prompt or int(references[0].sha256[0], 16) + int(references[1].sha256[0], 16) < 12
        return "Both have their charm." if is_prose else "A"

    with studied(home, answer, ANIMALS[:6]) as (ws, _):
        frame = ws.frame()
        with pytest.raises(InputError, match=r"for any pair, but 'Both have their charm\.'; it has no vote") as raised:
            frame.imagen.judge_with(MODEL, by="style", question="Well?")
        assert len(str(raised.value).splitlines()) == 2
        assert ws.votes().empty
        made = frame.imagen.judge_with(MODEL, by="style")
        unscored = made[made["chosen_by"] == "unscored"]
        assert 0 < len(unscored) < 18
        assert unscored["choice"].isna().all()
        assert set(unscored["forth"]) == {"Both have their charm."}
        assert f"{len(unscored)} unscored" in made.sentence
        assert len(ws.votes()) == 18 - len(unscored)


def test_a_budget_is_kept_and_gone_on_with(home: Path) -> None:
    """Too small for one pair it sends nothing; else it stops in time, and what was answered is not paid again."""

    def answer(*_: Any, **__: Any) -> str:
        return f"A. {'Because. ' * 500}"

    with studied(home, answer, ANIMALS[:4]) as (ws, simulator):
        frame = ws.frame()
        with pytest.raises(
            InputError, match=r"\$0.01 is too small for one pair in both orders: up to \$0.0133"
        ) as raised:
            frame.imagen.judge_with(MODEL, by="style", budget=0.01)
        assert len(str(raised.value).splitlines()) == 2
        assert (sent(simulator), ws.votes().empty, len(ws.frame(kind=JUDGE))) == ([], True, 0)
        before = simulator.billed
        part = frame.imagen.judge_with(MODEL, by="style", budget=0.0145)
        assert 0 < len(part) < 12
        assert f"{12 - len(part)} not asked" in part.sentence
        assert len(ws.votes()) == len(part)
        assert simulator.billed - before <= 0.0145
        frame.imagen.judge_with(MODEL, by="style")
        assert (len(ws.votes()), len(sent(simulator))) == (12, 24)
        before = simulator.billed
        made = frame.imagen.judge_with([MODEL, OTHER], by="style", budget=0.0175)
        assert 0 < (made["judge"] == OTHER).sum() < 12
        assert simulator.billed - before <= 0.0175


def test_a_third_judges_what_two_differ_on(home: Path) -> None:
    """Each has votes of its own; a judge that is named twice, or a fourth, is refused."""

    def answer(_: str, *, model: str, references: Sequence[Reference], **__: Any) -> str:
        first, second = references
        is_differing = (int(first.sha256[:4], 16) + int(second.sha256[:4], 16)) % 2 and model == OTHER
        return "A" if (first.edges > second.edges) != is_differing else "B"

    with studied(home, answer, ANIMALS[:4]) as (ws, simulator):
        frame = ws.frame()
        for wrong in ([MODEL, MODEL], [], [MODEL, OTHER, "a/b", "c/d"]):
            with pytest.raises(InputError, match="there are one to 3, each named once"):
                frame.imagen.judge_with(wrong, by="style")
        both = frame.imagen.judge_with([MODEL, OTHER], by="style")
        votes = ws.votes()
        assert votes["rater"].value_counts().to_dict() == {MODEL: 12, OTHER: 12}
        choices = both.plain.pivot_table(index=["run_a", "run_b"], columns="judge", values="choice", aggfunc="first")
        differing = (choices[MODEL] != choices[OTHER]).sum()
        assert 0 < differing < 12
        assert OTHER in both.sentence
        assert len(sent(simulator)) == 48
        third = f"{OTHER}:{catalogue()[OTHER].version_id}"
        made = frame.imagen.judge_with([MODEL, OTHER, third], by="style")
        assert ws.votes()["rater"].value_counts().to_dict() == {MODEL: 12, OTHER: 12, third: differing}
        asked = made[made["judge"] == third]
        assert set(zip(asked["run_a"], asked["run_b"], strict=True)) == set(
            choices.index[choices[MODEL] != choices[OTHER]]
        )


@pytest.mark.parametrize(
    ("model", "match"),
    [
        ("google/imagen-4", "makes pictures, and a judge answers in words"),
        ("anthropic/claude-4.5-haiku", "takes no two pictures"),
        ("black-forest-labs/flux-2-pro", "makes pictures"),
    ],
)
def test_who_sees_no_two_pictures_is_no_judge(home: Path, model: str, match: str) -> None:
    """Before anything is sent, also as the second of two."""
    with studied(home, animals=ANIMALS[:1]) as (ws, simulator):
        for judge in (model, [MODEL, model]):
            with pytest.raises(InputError, match=match):
                ws.frame().imagen.judge_with(judge, by="style")
        assert sent(simulator) == []


def test_an_interrupt_keeps_what_was_judged(home: Path) -> None:
    """The votes of what had been answered in both orders are there, and going on asks the rest."""
    with studied(home, animals=ANIMALS[:4]) as (ws, simulator):
        found = ws.frame().imagen

        def interrupt(runs: Runs) -> Runs:
            for count, _ in enumerate(runs.as_completed(60), 1):
                if count == 5:
                    break
            runs.cancel().is_done_within(60)
            raise KeyboardInterrupt

        from imagen_nb.frames.candidates import candidates

        chosen = candidates(ws.frame(), "style")
        terms: dict[str, Any] = {"by": "style", "question": "Which is better?", "budget": None, "most": None}
        with pytest.raises(KeyboardInterrupt):
            questions.judge_with(ws, MODEL, chosen.pairs(), chosen.runs, watch=interrupt, **terms)
        kept = len(ws.votes())
        assert kept >= 1
        made = found.judge_with(MODEL, by="style")
        assert (len(made), len(ws.votes())) == (12, 12)
        succeeded = [each for each in sent(simulator) if each["status"] == "succeeded"]
        assert len(succeeded) == 24


def test_a_question_to_a_model_is_a_scorer(home: Path) -> None:
    """Asked in one sweep, answered by yes, no or a figure; prose is no score; another question is asked anew."""

    def answer(prompt: str, *, references: Sequence[Reference], **_: Any) -> str:
        (one,) = references
        if "sharp" in prompt:
            return "Yes, very." if one.edges > 100 else "NO"
        return str(one.edges // 10) if one.edges > 100 else "Hard to say."

    with studied(home, answer, ANIMALS[:2]) as (ws, simulator):
        frame = ws.frame()
        with pytest.raises(InputError, match="has no name of its own"):
            frame.imagen.score(scorers.ask(MODEL, "Is it sharp?"))
        sharp = frame.imagen.score(scorers.ask("anthropic/claude-4.5-haiku", "Is it sharp?"), name="seen")["score_seen"]
        assert sharp.dtype == "boolean"
        assert set(sharp) == {True, False}
        frame.imagen.score(scorers.ask("anthropic/claude-4.5-haiku", "Is it sharp?"), name="seen")
        assert len(sent(simulator)) == 6
        figures = frame.imagen.score(scorers.ask("anthropic/claude-4.5-haiku", "How many?"), name="seen")["score_seen"]
        assert figures.notna().tolist() == sharp.tolist()
        assert len(sent(simulator)) == 12
        reasons = ws.scores().query("value.isna()")["reason"]
        assert set(reasons) == {"'Hard to say.'"}
        frame.imagen.score(scorers.ask("anthropic/claude-4.5-haiku", "How many?"), name="seen")
        assert len(sent(simulator)) == 12
        with pytest.raises(InputError, match="the question is 3, not text"):
            scorers.ask(MODEL, 3)  # type: ignore[arg-type]


def test_what_a_dead_session_asked_is_found_by_reconciling(home: Path) -> None:
    """Its row is settled as any other, and is no run of the user's own."""
    with studied(home, animals=ANIMALS[:1]) as (ws, _):
        request = Request(MODEL, {"prompt": "A or B?"}, "A or B?")
        with Workspace(home, provider=ws.provider.base_url) as dead:
            (run_id,) = dead.log.intend([request], provider=ws.provider.name, kind=JUDGE)
        settled: list[Run] = list(ws.reconcile())
        assert [(run.id, run.status) for run in settled] == [(run_id, "failed")]
        assert run_id not in ws.frame().index
        assert ws.frame(kind=JUDGE).index.tolist() == [run_id]


def test_words_and_figures_of_judges() -> None:
    """The first word counts; kappa is Cohen's, and one study of fair coins in twenty is called biased at most."""
    words = (
        "A",
        "b.",
        "**TIE**",
        "A\nIt is.",
        "A is sharper",
        "A, as it is",
        "Both",
        "A fox is better in B",
        "An owl",
        "",
        None,
    )
    assert [read_choice(each) for each in words] == ["a", "b", "tie", "a", "a", "a", *[None] * 5]
    truths = [read_truth(each) for each in ("Yes.", "no", "7 of 10", "-1.5", "Nobody", "", None)]
    assert truths == [True, False, 7.0, -1.5, None, None, None]
    table = [("a", "a")] * 20 + [("a", "b")] * 5 + [("b", "a")] * 10 + [("b", "b")] * 15
    agreement = measure_agreement([(one, other, place % 7) for place, (one, other) in enumerate(table)])
    assert agreement.kappa == pytest.approx(0.4)
    assert agreement.low < 0.4 < agreement.high
    assert "not calibrated" in str(measure_agreement([("a", "a", 1)] * 19))
    dice = np.random.default_rng(1)
    called = 0
    for _ in range(400):
        coins = [(dice.normal(size=40), dice.choice(["a", "b"], 40)) for _ in range(4)]
        called += bool(find_biases([], {str(place): list(zip(*each)) for place, each in enumerate(coins)}))  # noqa: B905
    assert called <= 0.05 * 400
