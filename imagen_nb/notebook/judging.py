"""Which of these two is better? A widget that asks it blind: nothing that reaches the page tells levels apart.

The page knows a pair by its number in this sitting, and gets two pictures, encoded anew, and the prompt without what is
compared. The log is what remembers: a sitting goes on where the rater's votes end, in whichever notebook they were
given.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets as t

from imagen_nb.errors import ImagenError, LogError
from imagen_nb.frames.candidates import Candidates, candidates
from imagen_nb.judging.pairs import Pair, choose, self_agreement
from imagen_nb.judging.strengths import ranking
from imagen_nb.log.judgements import add_vote, read_votes, take_back, votes_frame
from imagen_nb.notebook.live import display_beside
from imagen_nb.notebook.widgets import FallbackWidget, script, style
from imagen_nb.planning.values import label, whole_number
from imagen_nb.shared import log_of
from imagen_nb.views.pages import fill
from imagen_nb.views.thumbnails import USUAL_PX, thumbnails
from imagen_nb.views.words import count

if TYPE_CHECKING:
    import pandas as pd

    from imagen_nb.frames.runs import Names
    from imagen_nb.log.log import Log
    from imagen_nb.records import Vote

BYTES_A_SECOND = 800_000
"""How quickly pairs are sent at most; Jupyter's servers drop what comes faster than a megabyte a second."""

AHEAD, PAUSE_S = 2, 0.05
"""How many pairs the page has before they are needed, and how long making one waits, so as not to hold up painting."""

_ahead = ThreadPoolExecutor(1, thread_name_prefix="imagen-judging")
"""Where the next pair is chosen and its pictures are made, while the present one is looked at."""


class Judge(FallbackWidget):
    """Two pictures and a question, for one rater; each answer is in the log before the next two are shown.

    `shape` is width over height of the tallest picture of all; `is_begun` says that a page has shown a pair.
    """

    _esm = script("judge.js")
    _css = style("judge.css")

    question = t.Unicode("").tag(sync=True)
    shape = t.Float(1.0).tag(sync=True)
    is_begun = t.Bool(default_value=False).tag(sync=True)

    def __init__(self, log: Log, found: Candidates, question: str, rater: str | None, most: int | None) -> None:
        self._log, self._found, self._rater = log, found, rater
        self._pairs = found.pairs()
        self._known = {pair.runs: pair for pair in self._pairs}
        self.goal = min(most or len(self._pairs), len(self._pairs))
        self._shown: list[Pair] = []  # of this sitting, in order; the page has those whose number is in `_sent`
        self._votes: list[Vote] = []  # the answers to the first of them
        self._sent: set[int] = set()
        self._px = USUAL_PX[-1]
        self._earlier = 0  # answers before this sitting
        self._is_over = False
        self._lock = threading.RLock()
        sizes = [run.images[0] for run in found.runs.values()]  # one box for all, whatever is in it
        shape = min(image.width / image.height if image.height else 1.0 for image in sizes)
        super().__init__(question=question, shape=shape)
        self._equal: dict[str, Any] = {"by": found.by, "question": question, "rater": rater}
        self.on_msg(self._on_message)

    def _ipython_display_(self) -> None:
        display_beside(self.fallback or {}, anywidget.AnyWidget._repr_mimebundle_(self))

    @property
    def left(self) -> int:
        """How many questions there are still to answer."""
        return max(0, self.goal - len(self._asked()))

    def _asked(self) -> list[tuple[Pair, str]]:
        """The rater's answers so far to pairs of these, the oldest first."""
        votes = read_votes(self._log, **self._equal)
        found = [(self._known.get(frozenset((vote.run_a, vote.run_b))), vote) for vote in votes]
        return [(pair if pair.run_a == vote.run_a else pair.swap(), vote.choice) for pair, vote in found if pair]

    # -- what the page asks for --------------------------------------------------------------------------------------

    def _on_message(self, _: Any, content: Any, __: Any) -> None:
        try:
            with self._lock:
                match content:
                    case {"kind": "start", "px": int(px)}:
                        self._px = next((each for each in USUAL_PX if each >= px), USUAL_PX[-1])
                        self._sent.clear()
                        self._earlier = len(self._asked()) - len(self._votes)
                        self.is_begun = True
                    case {"kind": "vote", "at": int(at), "choice": str(choice), "seconds": int() | float() as seconds}:
                        self._answer(at, choice, float(seconds))
                    case {"kind": "back"} if self._votes and not self._is_over:
                        take_back(self._log, self._votes.pop())
                        self._sent.discard(len(self._votes))  # the page may have dropped it
                    case {"kind": "finish"}:
                        self._is_over = True
                self._say_turn()
        except ImagenError as error:
            self._say_trouble(error)
        else:
            _ahead.submit(self._prepare)

    def _answer(self, at: int, choice: str, seconds: float) -> None:
        """Write the answer to the pair that is on show; a key that was pressed twice, or too late, is none."""
        if at == len(self._votes) < len(self._shown) and not self._is_over:
            pair = self._shown[at]
            vote = pair.vote(choice, **self._equal, seconds=seconds, chosen_by=pair.chosen_by)
            self._votes.append(add_vote(self._log, vote))

    def _say_turn(self) -> None:
        place = self._earlier + len(self._votes) + 1
        self.send({"kind": "turn", "at": len(self._votes), "place": place, "goal": self.goal})

    def _say_trouble(self, error: Exception) -> None:
        """What went wrong; only the log's errors are known to name no run and no picture."""
        text = str(error) if isinstance(error, LogError) else f"This went wrong: {type(error).__name__}."
        self.send({"kind": "trouble", "text": f"{text}\nNothing was written; run this cell again to go on."})

    # -- what comes next ---------------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        """Send the pair that is on show and those after it, as far as the page lacks them, or the end."""
        time.sleep(PAUSE_S)
        try:
            for at in range(len(self._votes), len(self._votes) + AHEAD + 1):
                if at not in self._sent and not self._send_pair(at) and at == len(self._votes):
                    self._is_over = True
            if self._is_over:
                self.send({"kind": "end", "text": self._result()})
            else:
                self.send({"kind": "note", "note": self._advice()})
        except Exception as error:  # noqa: BLE001 - a thread's traceback would land in whatever cell runs now
            self._say_trouble(error)

    def _send_pair(self, at: int) -> bool:
        """Send a pair with its pictures; False where there is none. A run whose file is gone is in no pair any more."""
        while not self._is_over and (pair := self._pair(at)):
            images = [self._found.runs[run_id].images[0] for run_id in (pair.run_a, pair.run_b)]
            pictures = thumbnails(images, self._px)
            if all(pictures):
                self._sent.add(at)
                self.send({"kind": "pair", "at": at, "prompt": self._found.text(pair)}, pictures)
                time.sleep(sum(map(len, filter(None, pictures))) / BYTES_A_SECOND)
                return True
            gone = {run_id for run_id, made in zip((pair.run_a, pair.run_b), pictures, strict=True) if not made}
            self._pairs = [each for each in self._pairs if not each.runs & gone]
            self.goal = min(self.goal, len(self._pairs))
            del self._shown[at:]
        return False

    def _pair(self, at: int) -> Pair | None:
        """The pair of this number in this sitting; it is chosen before the one on show is answered."""
        while len(self._shown) <= at:
            with self._lock:
                asked = [*self._asked(), *((pair, "") for pair in self._shown[len(self._votes) :])]
            pair = choose(self._pairs, asked, f"{self.question} {self._rater}") if len(asked) < self.goal else None
            if pair is None:
                return None
            self._shown.append(pair)
        return self._shown[at]

    # -- what comes of it --------------------------------------------------------------------------------------------

    def _mine(self) -> pd.DataFrame:
        return votes_frame(self._log, **self._equal)

    def _advice(self) -> str:
        """Whether the votes so far are enough, without a word of which is ahead."""
        said = []
        if left_out := self._found.left_out:
            said = [f"{count(left_out, 'run')} without a picture to show left out."]
        votes = self._mine()
        if not votes.empty and next(iter(ranking(votes).get("enough", [False]))):
            said.append("Enough: more votes would hardly change the result.")
        return "\n".join(said)

    def _result(self) -> str:
        """What this rater's votes say, and whether the same question got the same answer."""
        votes = self._mine()
        if votes.empty:
            return "No votes were given."
        same, again = self_agreement(self._asked())
        unit = "prompt" if list(self._found.within) == ["prompt"] else "group"
        return "\n".join(
            [
                f"{count(len(votes), 'vote')}. {ranking(votes, unit=unit).sentence}",
                *([f"Of {count(again, 'pair')} shown twice, {same} got the same answer."] if again else []),
                *([] if self.left == 0 else [f"{count(self.left, 'pair')} left; run this cell again to go on."]),
            ]
        )


def judge(frame: pd.DataFrame, *, by: str, within: Names, question: str, rater: str | None, pairs: int | None) -> Judge:
    """The widget for the frame's pictures; arguments as of `df.imagen.judge`."""
    found = candidates(frame, by, within)
    most = None if pairs is None else whole_number("pairs", pairs)
    asked = label("question", question) or "Which is better?"
    made = Judge(log_of(frame), found, asked, label("rater", rater), most)
    text = f"{count(made.left, 'pair')} to judge; run this cell again."
    made.fallback = {"text/plain": text, "text/html": fill("still.html", pictures=[], text=text)}
    return made
