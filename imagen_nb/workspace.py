"""The composition root: settings in, a folder with a log, an API and the verbs that use them out.

Every verb spells out its keywords, for editors and type checkers, which is why this is long. Loading the
extension imports this module, so what a workspace is made of is imported when one is opened.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, overload

from imagen_nb.errors import InputError, NotFoundError, ProviderError, SettingsError, brief, did_you_mean
from imagen_nb.planning.values import label, mapping, positive_number, whole_number
from imagen_nb.settings import (
    JOBS,
    SIMULATOR,
    THUMBNAIL_PX,
    TIMEOUT_S,
    Provider,
    Secret,
    Settings,
    resolve,
)

if TYPE_CHECKING:
    from concurrent.futures import Executor
    from typing import Protocol, TypedDict

    import pandas as pd
    from typing_extensions import Self, Unpack

    from imagen_nb.accessor import LogFrame
    from imagen_nb.log.images import Images
    from imagen_nb.log.log import Log
    from imagen_nb.log.queries import Names, Statuses
    from imagen_nb.planning.models import ModelSpec
    from imagen_nb.planning.plan import Plan
    from imagen_nb.records import InputFile, Rendering, Request, Run, Vote
    from imagen_nb.sweeps.collect import Connections
    from imagen_nb.sweeps.one_request import Job, RunOptions
    from imagen_nb.sweeps.recover import SentCreate
    from imagen_nb.sweeps.sweep import Runs

    class Table(Protocol):
        """A DataFrame of prompts, also to a type checker that does not know pandas."""

        @property
        def columns(self) -> Any: ...

    Prompts = str | os.PathLike[str] | Iterable[str] | Iterable[Mapping[str, Any]] | Table

    class RunKeywords(TypedDict, total=False):
        """How `run` runs a plan."""

        experiment: str | None
        tag: str | None
        budget: float | None
        resume: bool
        jobs: int | None
        timeout: float
        executor: Executor | None
        hold: int | None
        background: bool


_PLAN_WORDS: Mapping[str, Any] = {
    **dict.fromkeys(("model", "slots", "params", "sample", "namespace")),
    "repeat": 1,
    "raw": False,
    "zipped": (),
    "sample_seed": 0,
}
"""The keywords with which a template is planned, and what they are where nobody gives them."""

_RUN_WORDS = ("experiment", "tag", "budget", "resume", "jobs", "timeout", "executor", "hold")
"""The keywords with which a plan is run."""

MOST_AT_ONCE = 64
"""How many leftovers are settled at once at most: those that are looked for wait together."""

SCHEMA_S = 20.0
"""How long asking for a model's schema may take, in seconds."""

STRAYS_S = 20.0
"""How long `reconcile` looks for predictions that are no row's, in seconds."""

CANCEL_S, CLOSE_S = 3.0, 10.0
"""How long an interrupt, and closing, wait for the rows of what they cancel, in seconds."""


@dataclass(slots=True)
class _OpenParts:
    """What a workspace has opened in one process, each on first use."""

    lock: Any = field(default_factory=threading.RLock)
    log: Log | None = None
    images: Images | None = None
    connections: Connections | None = None
    awaited: dict[str, SentCreate] = field(default_factory=dict)
    sweeps: list[Runs] = field(default_factory=list)


class Workspace:
    """A folder with the log and the images, and a provider that answers.

    `home` is the folder (default `imagen_runs/` in the current one), `provider` a name or a base URL, `token` overrides
    the environment's, `model` is used where none is asked for, `jobs` is the most predictions in flight. `prices` maps
    model names to US dollars an image, or to rules (see `planning.prices`), and overrides the list prices, `thumbnail`
    is the longer side in pixels of the picture a card shows, `settle_s` is for how many seconds the provider's list may
    lag behind its creates. Nothing is opened before it is needed. Raises `SettingsError` for settings that cannot be
    used.
    """

    def __init__(
        self,
        home: str | os.PathLike[str] | None = None,
        provider: str | None = None,
        token: str | None = None,
        model: str | None = None,
        jobs: int = JOBS,
        *,
        prices: Mapping[str, float] | None = None,
        thumbnail: int = THUMBNAIL_PX,
        settle_s: float | None = None,
    ) -> None:
        from imagen_nb.api.model_specs import ModelSpecs
        from imagen_nb.planning.models import check_model_name
        from imagen_nb.views.pictures import set_card_px

        self.settings: Settings = resolve(provider=provider, token=token, model=model, home=home)
        self._asked = (provider, model) if token is None else None
        del token  # a verbose traceback prints what a frame still holds
        self._model = check_model_name(self.settings.model)
        self.jobs = whole_number("jobs", jobs)
        self.prices = dict(mapping("prices", prices))
        self.notices: list[str] = [self.settings.notice] if self.settings.notice else []
        set_card_px(self.home, whole_number("thumbnail", thumbnail))
        self._settle_s = None if settle_s is None else positive_number("settle_s", settle_s)
        is_simulated = self.settings.provider.is_simulator
        self._specs = ModelSpecs(self._schema, self.prices, self.notices.append, is_simulated=is_simulated)
        self._parts: dict[int, _OpenParts] = {}

    def __repr__(self) -> str:
        return f"Workspace(home={str(self.home)!r}, provider={self.settings.provider.name!r}, model={self._model!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Cancel what runs, wait a little for its rows, and close the log and the connections."""
        opened = self._opened
        running = [runs for runs in opened.sweeps if not runs.is_done]
        for runs in running:
            runs.cancel()
        for runs in running:
            runs.is_done_within(CLOSE_S)
        with opened.lock:
            if opened.connections is not None:
                opened.connections.close()
            if opened.images is not None and all(runs.is_done for runs in running):
                opened.images.close()  # while something runs its downloads still go there
            if opened.log is not None:
                opened.log.close()
            opened.connections = opened.images = opened.log = None

    # -- what it is made of --------------------------------------------------------------------------------------

    @property
    def home(self) -> Path:
        """The folder with the log and the images."""
        return self.settings.home

    @property
    def is_current(self) -> bool:
        """Whether the environment still names the provider, token and model that this was opened with."""
        if self._asked is None:
            return True
        try:
            provider, model = self._asked
            now = resolve(provider=provider, model=model, home=self.home)
        except SettingsError:
            return False  # whoever opens the next one is told
        return (now.provider, now.model) == (self.settings.provider, self.settings.model)

    @property
    def provider(self) -> Provider:
        """Who answers; the simulator is started when it is first needed."""
        named = self.settings.provider
        return _simulator_provider() if named.is_simulator else named

    @property
    def _opened(self) -> _OpenParts:
        """What is open in this process.

        A forked child opens a log and connections of its own, and leaves its parent's sweeps to the parent. What it
        inherited is kept, unused and unclosed: to close an inherited SQLite file may undo what the parent writes.
        """
        return self._parts.setdefault(os.getpid(), _OpenParts())

    @property
    def is_open(self) -> bool:
        """Whether the log has been opened, so that asking it is quick."""
        return self._opened.log is not None

    @property
    def log(self) -> Log:
        """The durable log, opened on first use. Raises `LogError` where the home cannot be used."""
        opened = self._opened
        with opened.lock:
            if opened.log is None:
                from imagen_nb.log.log import Log

                opened.log = Log(self.home)
            return opened.log

    @property
    def images(self) -> Images:
        """The image files under the home folder."""
        opened = self._opened
        with opened.lock:
            if opened.images is None:
                from imagen_nb.log.images import Images

                opened.images = Images(self.home)
            return opened.images

    @property
    def connections(self) -> Connections:
        """The ways to the provider, opened on first use."""
        opened = self._opened
        with opened.lock:
            if opened.connections is None or opened.connections.api.is_provisional:
                from imagen_nb.planning.models import local_names
                from imagen_nb.sweeps.collect import Connections

                opened.connections = Connections.to(self.provider)
                if name := opened.connections.api.only_model:
                    local_names.add(name)
            return opened.connections

    @property
    def model(self) -> str:
        """The model where none is asked for; a provider that has only one answers with that."""
        only = self.connections.api.only_model if self.settings.provider.is_given_as_url else None
        return only or self._model

    @property
    def model_names(self) -> list[str]:
        """The models to choose from, the default first: the catalogue's, and those that have a price of one's own."""
        from imagen_nb.planning.models import catalogue_names

        if self.settings.provider.is_given_as_url and (only := self.connections.api.only_model):
            return [only]
        return [*dict.fromkeys([self.model, *catalogue_names(), *self.prices])]

    @property
    def _is_remote(self) -> bool:
        """Whether the provider is neither the simulator nor another one on this machine."""
        return not (self.settings.provider.is_simulator or self.settings.provider.is_local)

    def spec(self, model: str | None = None) -> ModelSpec:
        """What is known of a model: the catalogue, else the API's schema, else nothing, said once in `notices`."""
        if self.settings.provider.is_given_as_url and (only := self.connections.api.only_model):
            if model not in (None, only):
                raise InputError(f"this server has one model, {only}, and not {brief(model)}", "Name none, or that.")
            return self._specs.get(only)
        return self._specs.get(model or self.model)

    def peek_spec(self, model: str | None = None) -> ModelSpec | None:
        """The same, without asking anybody: None for a model not met yet."""
        return self._specs.peek(model or self.model)

    def say_notices(self) -> None:
        """Say once each what this workspace has to say: who answers, what has changed, which model is retired.

        On stderr in a script; where a person types it is a line of the output, which notebooks do not colour as errors.
        """
        while self.notices:
            to = sys.stdout if hasattr(sys, "ps1") else sys.stderr
            print(self.notices.pop(0), file=to)

    # -- plan and run --------------------------------------------------------------------------------------------

    def plan(
        self,
        template: Prompts,
        /,
        *,
        model: str | Sequence[str] | None = None,
        repeat: int = 1,
        slots: Mapping[str, Any] | None = None,
        params: Mapping[str, Any] | None = None,
        raw: bool = False,
        zipped: Sequence[Any] = (),
        sample: int | None = None,
        sample_seed: int = 0,
        namespace: Mapping[str, Any] | None = None,
        **names: Any,
    ) -> Plan:
        """The ordered requests of a template (or several, or a table of them) over its slots and parameters.

        A keyword is a slot if the template has it, else a model parameter, else an `InputError`; a list is an axis.
        `template` may also be a DataFrame or a CSV file (as a `Path`, or as the name of one that is there) with a
        column `prompt` or `template`. `slots` and `params` say explicitly which is which; `model` is a name or an axis
        of them, `repeat` how many predictions each request gets. `zipped` names axes that move together,
        `[("animal", "place")]`; `sample` takes so many requests at random, the same ones for the same `sample_seed`.
        `raw` sends the text as it stands; `namespace` fills slots that nothing else fills.
        """
        given = locals()  # the arguments: nothing else has a name yet
        from imagen_nb.planning.plan import plan

        words = {name: given[name] for name in _PLAN_WORDS} | {"model": self.model if model is None else model}
        made = plan(template, self.spec, read_file=self.input_file, **words, **names)
        if self._is_remote:
            self._specs.say_retired(made.models)
        return made

    def plan_again(self, request: Request) -> Plan:
        """The plan of just this request, as it was asked, whatever its repeat number."""
        is_literal = not request.slots and request.template in ("", request.prompt)
        return self.plan(
            [request.prompt if is_literal else request.template],
            model=request.model,
            slots=request.slots,
            params={name: [value] if isinstance(value, list) else value for name, value in request.params.items()},
            raw=is_literal,
        )

    def input_file(self, value: Any, name: str | None = None, *, beside: Path | None = None) -> InputFile | str:
        """The file that a value names or holds, kept in the home for an input that takes one; an address stays one.

        The value is a path (a relative one is looked for in the working folder, then in the folder `beside`), bytes, a
        PIL image, an `Image`, a `Run` with one image, or an `https:` or `data:` address; `name` is what to call what
        has no name. `plan` does this with each such value by itself. Raises `InputError`, and `LogError` where the home
        cannot be written.
        """
        from imagen_nb.log.input_files import keep_file

        def find_maker(sha256: str) -> tuple[str, str] | None:
            from imagen_nb.views.names import image_names

            run = self.log.find_maker(sha256)
            if run is None:
                return None
            named = zip(run.images, image_names([run])[0], strict=True)
            return run.id, next(each for image, each in named if image.sha256 == sha256)

        return keep_file(value, self.images, find_maker, name=name, beside=beside)

    def generate(
        self,
        prompt: str,
        *,
        model: str | None = None,
        timeout: float = TIMEOUT_S,
        experiment: str | None = None,
        tag: str | None = None,
        slots: Mapping[str, Any] | None = None,
        params: Mapping[str, Any] | None = None,
        **names: Any,
    ) -> Run:
        """One prediction, waited for: its run, with the images on disk.

        `timeout` is in seconds. A failed or blocked prediction is a run that says so; what keeps the request from being
        asked, or leaves it unknown whether it was, raises (`InputError`, `ProviderError`, `LogError`).
        """
        text = [prompt] if isinstance(prompt, str | os.PathLike) else prompt  # a file is no prompt, whatever its name
        plan = self.plan(text, model=model, slots=slots, params=params, **names)
        if len(plan) != 1:
            raise InputError(f"generate() makes one image and this is a plan of {len(plan)}", "Use run() in its place.")
        return _wait(self.submit(plan, experiment=experiment, tag=tag, timeout=timeout)).only()

    def submit(
        self,
        plan: Plan,
        *,
        experiment: str | None = None,
        tag: str | None = None,
        budget: float | None = None,
        resume: bool = False,
        jobs: int | None = None,
        timeout: float = TIMEOUT_S,
        executor: Executor | None = None,
        hold: int | None = None,
    ) -> Runs:
        """Begin to run a plan and return at once; the `Runs` fill in.

        `budget` is US dollars: each request's estimate is reserved before it is sent, and the sweep stops cleanly
        before the limit would be passed. `resume` skips the requests of `experiment` that already succeeded and picks
        up those still running. `jobs` is the most predictions in flight, `timeout` seconds for one prediction from
        its POST to its file, `executor` any `concurrent.futures.Executor` to wait and fetch on. `hold` holds each
        create open for up to 60 s, which saves polling (default: a single request is held, several are not).
        """
        from imagen_nb.sweeps.one_request import RunOptions
        from imagen_nb.sweeps.resume import jobs_to_resume, new_jobs

        options = RunOptions(
            experiment=experiment,
            tag=tag,
            budget=budget,
            resume=resume,
            jobs=self.jobs if jobs is None else jobs,
            timeout=timeout,
            executor=executor,
            hold=hold,
        )
        options.check(plan)
        if self._is_remote:
            self._specs.look_for_newer(plan.models)
        if options.experiment is not None and options.resume:
            going_on = jobs_to_resume(plan, self.log, options.experiment, self.provider.name)
            return self._start(going_on, len(plan), options)
        return self._start(new_jobs(plan), len(plan), options)

    @overload
    def run(self, plan: Plan, /, **options: Unpack[RunKeywords]) -> Runs: ...
    @overload
    def run(
        self,
        plan: Prompts,
        /,
        *,
        model: str | Sequence[str] | None = None,
        repeat: int = 1,
        slots: Mapping[str, Any] | None = None,
        params: Mapping[str, Any] | None = None,
        raw: bool = False,
        zipped: Sequence[Any] = (),
        sample: int | None = None,
        sample_seed: int = 0,
        namespace: Mapping[str, Any] | None = None,
        experiment: str | None = None,
        tag: str | None = None,
        budget: float | None = None,
        resume: bool = False,
        jobs: int | None = None,
        timeout: float = TIMEOUT_S,
        executor: Executor | None = None,
        hold: int | None = None,
        background: bool = False,
        **names: Any,
    ) -> Runs: ...
    def run(
        self,
        plan: Plan | Prompts,
        input: Any = None,  # noqa: A002 - Replicate's call, which is told how it is written here
        /,
        *,
        model: str | Sequence[str] | None = None,
        repeat: int = 1,
        slots: Mapping[str, Any] | None = None,
        params: Mapping[str, Any] | None = None,
        raw: bool = False,
        zipped: Sequence[Any] = (),
        sample: int | None = None,
        sample_seed: int = 0,
        namespace: Mapping[str, Any] | None = None,
        experiment: str | None = None,
        tag: str | None = None,
        budget: float | None = None,
        resume: bool = False,
        jobs: int | None = None,
        timeout: float = TIMEOUT_S,
        executor: Executor | None = None,
        hold: int | None = None,
        background: bool = False,
        **names: Any,
    ) -> Runs:
        """Run a plan to its end, or a template, which is planned first with the keywords of `plan()`.

        `background` returns at once, and the `Runs` fill in; all other keywords are those of `submit()`.
        """
        given = locals()  # the arguments: nothing else has a name yet
        from imagen_nb.planning.plan import Plan

        if input is not None:
            names["input"] = input
        if not isinstance(background, bool):
            hint = "Give an input of that name as params={'background': …}."
            raise InputError(f"background cannot be {brief(background)}; allowed: True or False", hint)
        if not isinstance(plan, Plan):
            plan = self.plan(plan, **{name: given[name] for name in _PLAN_WORDS}, **names)
        elif late := [*names, *(name for name, usual in _PLAN_WORDS.items() if given[name] is not usual)]:
            raise InputError(
                f"a plan is given, and {late[0]} comes too late for it",
                did_you_mean(late[0], _RUN_WORDS, "Give it to plan(), or give the template itself to run()."),
            )
        runs = self.submit(plan, **{name: given[name] for name in _RUN_WORDS})
        return runs if background else _wait(runs)

    def remaining(self, plan: Plan, experiment: str | None) -> Plan:
        """What resuming this experiment may send of the plan, to be counted and priced: all that has not succeeded.

        A plan of more than 100,000 requests is given back whole.
        """
        name = label("experiment", experiment)
        if name is None or not self.home.is_dir():
            return plan
        from imagen_nb.sweeps.resume import remaining

        return remaining(plan, self.log, name, self.settings.provider.name)

    def _schema(self, model: str) -> Mapping[str, Any] | None:
        return self.connections.api.schema(model, deadline=time.monotonic() + SCHEMA_S)

    def _start(self, jobs: Iterator[Job], total: int, options: RunOptions) -> Runs:
        from imagen_nb.sweeps.one_request import SweepContext
        from imagen_nb.sweeps.recover import SETTLE_S
        from imagen_nb.sweeps.sweep import Runs

        opened = self._opened
        context = SweepContext(
            self.provider,
            self.connections,
            self.images,
            self.log,
            self._specs.get_or_unknown,
            opened.awaited,
            self._settle_s or SETTLE_S,
        )
        runs = Runs(jobs, total, options, context)
        opened.sweeps = [each for each in opened.sweeps if not each.is_done] + [runs]
        return runs.start()

    # -- the log -------------------------------------------------------------------------------------------------

    def frame(
        self, experiment: Names = None, status: Statuses = None, last: int | None = None, kind: str | None = None
    ) -> LogFrame:
        """The log as a DataFrame: one row a run, newest last, indexed by `run_id`.

        `experiment` and `status` are one or several; the status "blocked" means what a safety filter refused. `last`
        takes the newest so many of those. `kind` "judge" gives what models were asked about pictures instead. Raises
        `InputError` for a status that does not exist.
        """
        from imagen_nb.log.frame import frame

        newest = None if last is None else whole_number("last", last)
        return cast("LogFrame", frame(self.log, experiment=experiment, status=status, last=newest, kind=kind))

    def events(self) -> pd.DataFrame:
        """One row per status change of any run, oldest first."""
        from imagen_nb.log.frame import events

        return events(self.log)

    def rate(
        self, run: Run | str, rating: int | None = None, note: str | None = None, favourite: bool | None = None
    ) -> Run:
        """Write a rating (1 to 5), a note, or whether it is a favourite to the row of a run or an id; gives the run.

        What is None stays as it is; a rating of 0 and a note of "" take it away. Raises `InputError` for others.
        """
        run_id = str(getattr(run, "id", run))
        self.log.rate(run_id, rating=rating, note=note, favourite=favourite)
        return self.log.get(run_id)

    def vote(
        self,
        a: Run | str,
        b: Run | str,
        choice: str,
        *,
        by: str,
        question: str = "Which is better?",
        rater: str | None = None,
    ) -> Vote:
        """Write which of two runs (or ids) is better: `choice` is `a`, `b`, `tie` or `neither`.

        The two differ in the column `by`, and are equal in all else that varies in their experiments (without one, in
        their templates). A second vote of a rater on the same pair is one more vote. Raises `InputError` for runs that
        are not such a pair.
        """
        from imagen_nb.frames.candidates import candidates
        from imagen_nb.log.judgements import add_vote

        ids = [str(getattr(run, "id", run)) for run in (a, b)]
        runs = [self.log.get(each) for each in ids]
        names = [run.experiment for run in runs if run.experiment]
        if len(names) == len(runs):
            frame = self.frame(names)
        else:  # all of a log is much to look through
            frame = self.frame()
            frame = frame[frame["template"].isin([run.request.template for run in runs])]
        found = candidates(frame, by)
        for each in ids:
            if each not in found.runs:
                hint = "Vote on runs that succeeded and whose pictures are on the disk."
                raise InputError(f"the run {brief(each)} has no picture to be compared", hint)
        pair = found.pairs(*ids)[0]
        return add_vote(self.log, (pair if pair.run_a == ids[0] else pair.swap()).vote(choice, by, question, rater))

    def votes(self) -> pd.DataFrame:
        """All votes as a DataFrame, one row each, oldest first: who, when, which two, what was asked and answered."""
        from imagen_nb.log.judgements import votes_frame

        return votes_frame(self.log)

    def scores(self) -> pd.DataFrame:
        """All scores as a DataFrame, one row a figure of an image, with the reason where there is none."""
        from imagen_nb.log.judgements import scores_frame

        return scores_frame(self.log)

    def ask(self, requests: Sequence[Request], *, budget: float | None = None) -> Runs:
        """Begin to ask models about pictures, and return at once; the `Runs` fill in.

        The rows are of the kind `judge`, which `frame` leaves out; what has been answered before is not asked again.
        `budget` is US dollars, as in `submit`.
        """
        from imagen_nb.records import JUDGE
        from imagen_nb.sweeps.one_request import RunOptions
        from imagen_nb.sweeps.resume import jobs_to_resume

        self.say_notices()  # who answers, before anything is paid
        options = RunOptions(budget=budget, jobs=self.jobs, resume=True, kind=JUDGE)
        jobs = jobs_to_resume(requests, self.log, None, self.provider.name, JUDGE)
        return self._start(jobs, len(requests), options)

    def models(self) -> pd.DataFrame:
        """What is known of each model, one row each: its price, what it is good for, its inputs, when it is retired."""
        return self._specs.frame()

    def panel(self) -> Any:
        """The panel on this workspace: a form, what runs, and the history; in a cell with the limits of `%config`."""
        from imagen_nb.notebook.panel import panel

        return panel(self)

    def reconcile(self, timeout: float = TIMEOUT_S, *, adopt: Sequence[str] = ()) -> Runs:
        """Settle the rows that a dead kernel or a lost reply left open; safe to repeat, and beside a running sweep.

        Nothing is ever sent again by this: predictions are looked for by listing, waited for and fetched. Gives the
        runs it settled; a row that cannot be settled yet stays `unknown` and says why. What the provider made of the
        last hour's requests beyond their rows is named with its id in the runs' message; `adopt` takes such ids, and
        makes a row of each, tagged `adopted`. `timeout` is seconds for one prediction.
        """
        from imagen_nb.sweeps.one_request import RunOptions
        from imagen_nb.sweeps.recover import LOOK_BACK, ROWS
        from imagen_nb.sweeps.resume import job_to_adopt, jobs_left_over

        options = RunOptions(timeout=timeout, jobs=MOST_AT_ONCE)
        name, ids = self.settings.provider.name, [adopt] if isinstance(adopt, str) else list(adopt)
        rows = self.log.leftovers(name)
        api = self.connections.api
        strays = []
        for each in dict.fromkeys(ids):
            try:
                strays.append(api.get(each, deadline=time.monotonic() + timeout))
            except NotFoundError:
                raise InputError(
                    f"the provider has no prediction {brief(each)}",
                    "The ids to adopt stand in what a sweep or reconcile says; is this the right provider?",
                ) from None
        adopted = [
            job_to_adopt(len(rows) + place, each, self.log, name, self.input_file) for place, each in enumerate(strays)
        ]
        jobs = chain(jobs_left_over(rows, self.log), adopted)
        runs = _wait(self._start(jobs, len(rows) + len(adopted), options))
        since = datetime.now(timezone.utc) - 2 * LOOK_BACK  # by which clock is not known
        recent = self.log.runs(limit=ROWS, newest_first=True, kind="any")
        mine = [each for each in recent if each.provider == name and (each.created_at or since) >= since]
        if mine:
            with suppress(ProviderError):  # what can be settled is, and the rest can be asked for again
                runs.report_strays(
                    [each.request for each in mine], LOOK_BACK.total_seconds(), time.monotonic() + STRAYS_S
                )
        return runs

    # -- how it looks --------------------------------------------------------------------------------------------

    def show(self, run: Run) -> Rendering:
        """A run as a card: `text/plain` and `text/html`."""
        from imagen_nb.views.cards import render_run

        return render_run(run)


def _wait(runs: Runs) -> Runs:
    """The runs when they have ended; an interrupt cancels them first."""
    try:
        return runs.wait()
    except KeyboardInterrupt:
        runs.cancel()
        runs.is_done_within(CANCEL_S)
        raise


_simulator_lock = threading.Lock()
_simulator: tuple[Any, Provider] | None = None


def _simulator_provider() -> Provider:
    """This process's simulator, started on first use; it ends with the process.

    It asks for a token of its own, since whoever else works on this machine may reach its port.
    """
    global _simulator  # noqa: PLW0603 - one server a process is enough
    with _simulator_lock:
        if _simulator is None:
            import secrets

            from imagen_nb.simulator import Simulator

            token = secrets.token_hex()
            started = Simulator(token=token)
            _simulator = started, Provider(SIMULATOR, started.base_url, Secret(token))
        return _simulator[1]
