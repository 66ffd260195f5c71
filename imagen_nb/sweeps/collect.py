"""From an accepted prediction to its images on disk.

Collecting costs nothing and can be repeated anywhere, so `collect` is a function of picklable values that any
`concurrent.futures.Executor` can run; a worker on another machine needs to see the home folder.
"""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from imagen_nb.api.client import Api
from imagen_nb.api.cog import open_api
from imagen_nb.api.downloads import Downloader
from imagen_nb.api.pace import backoff, sleep_or_stop
from imagen_nb.api.polling import wait
from imagen_nb.errors import ImageError, ImageGoneError, ImagenError, NotFoundError, ProviderError
from imagen_nb.log.images import Images
from imagen_nb.records import Image, Outcome, Prediction, Status
from imagen_nb.settings import SLICE_S, Provider

DOWNLOAD_S = 180.0
"""How long the outputs of one finished prediction may take to arrive, in seconds."""

REPLY_S, SEARCH_S, END_S = 1.5, 3.0, 4.0
"""How long after its deadline the reply to a run's create may come, its lost create be looked for, and what there is be
canceled and fetched, in seconds: 5 s after the deadline the cell goes on."""

RENEWALS = 3
"""How often the provider is asked for new addresses of outputs that are no longer where it said."""

MOST_NAMED = 4
"""No more missing outputs of one prediction are named."""

NOTHING_GIVEN = "the provider says succeeded, and gives"
"""How it is told that nothing came of what was asked for."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """When a run's time is up (`at`, monotonic), and for how much longer it may be ended well; nothing is made then."""

    at: float

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        """So many seconds from now."""
        return cls(time.monotonic() + seconds)

    @property
    def left(self) -> float:
        """Seconds until it, 0 when it has passed."""
        return max(0.0, self.at - time.monotonic())

    @property
    def search(self) -> float:
        """Until when a lost create may be looked for."""
        return self.at + SEARCH_S

    @property
    def end(self) -> float:
        """Until when what there is may be canceled and fetched."""
        return self.at + END_S


@dataclass(frozen=True, slots=True)
class Connections:
    """The ways to a provider: its API, and the hosts of its files."""

    api: Api
    downloader: Downloader

    @classmethod
    def to(cls, provider: Provider) -> Connections:
        """New ones; one that was given as a URL is asked what it is, of others nothing."""
        return cls(open_api(provider), Downloader(allow_local=provider.is_local))

    def close(self) -> None:
        """End the calls under way."""
        self.api.close()
        self.downloader.close()


def wait_and_fetch(
    connections: Connections,
    images: Images,
    prediction: Prediction,
    *,
    deadline: Deadline,
    history: Callable[[], Sequence[float]] = tuple,
    typical: float | None = None,
    stop: threading.Event | None = None,
    watch: Callable[[Prediction], None] | None = None,
    had: Sequence[Image] = (),
) -> Outcome:
    """What became of the prediction; one not terminal by the deadline or at `stop` comes as it is.

    Outputs may arrive until a little after the deadline; what has not is left for later.

    `history` gives how many seconds recent predictions took, `typical` is what to expect without it; `watch` is called
    at each change of status. `had` are images of it that an earlier attempt kept: none of them is lost.
    """
    try:
        last = wait(
            connections.api, prediction, deadline=deadline.at, history=history, typical=typical, stop=stop, watch=watch
        )
    except NotFoundError as error:
        return _outcome_without_outputs(prediction, Status.FAILED, error.message, error.code, had)
    except ProviderError as error:
        return Outcome(prediction, tuple(had), Status.UNKNOWN, error.message, error.code)
    if last.status is Status.SUCCEEDED and last.output:
        return _fetch_outputs(connections, images, last, had, deadline.end)
    if last.status is not Status.SUCCEEDED or last.text:
        return Outcome(last, tuple(had), last.status, last.error, last.error_code)
    if last.data_removed:
        return _outcome_without_outputs(last, Status.EXPIRED, "the provider has deleted the image", "gone", had)
    return _outcome_without_outputs(last, Status.FAILED, f"{NOTHING_GIVEN} no image", "no_output", had)


def _outcome_without_outputs(last: Prediction, status: Status, error: str, code: str, had: Sequence[Image]) -> Outcome:
    """The outcome where nothing more is to be had: with images of an earlier attempt it is a success all the same."""
    if had:
        status, error = Status.SUCCEEDED, f"the outputs that were missing stay so: {error}"
    return Outcome(last, tuple(had), status, error, code)


def _fetch_outputs(
    connections: Connections, images: Images, last: Prediction, had: Sequence[Image], end: float
) -> Outcome:
    """Each output for itself, whatever becomes of the others; for those that are gone new addresses are asked for.

    There is no stop here: what is finished is paid for, and an interrupt keeps it.
    """
    deadline = min(end, time.monotonic() + DOWNLOAD_S)
    results: dict[int, Image | ImagenError] = {}
    left = list(range(len(last.output)))
    for renewals in itertools.count():
        for turn, place in enumerate(left):
            now = time.monotonic()  # no output may take the time of those behind it
            ends = now + (deadline - now) / (len(left) - turn)
            results[place] = _fetch(connections.downloader, images, last.output[place], ends)
        left = [place for place in left if isinstance(results[place], ImageGoneError)]
        gap = backoff(renewals + 1, jitter=0.5)
        if not left or renewals == RENEWALS or time.monotonic() + gap >= deadline:
            break
        sleep_or_stop(gap, None)
        try:
            last = connections.api.get(last.id, deadline=deadline)
        except NotFoundError:
            break
        except ProviderError as error:  # so nobody knows whether they are gone
            results.update(dict.fromkeys(left, error.with_traceback(None)))
            break
        left = [place for place in left if place < len(last.output)]
    return _outcome_of(last, [results[place] for place in sorted(results)], had)


def _fetch(downloader: Downloader, images: Images, uri: str, deadline: float) -> Image | ImagenError:
    """The image at an address, in its place in the home, or why there is none."""
    try:
        got = downloader.fetch(uri, images.folder, deadline=deadline)
    except (ImageError, ProviderError) as error:
        return error.with_traceback(None)
    path = images.publish(got.path, got.sha256, got.mime)
    return Image(path, got.sha256, got.width, got.height, got.bytes, got.mime, got.url)


def _outcome_of(last: Prediction, results: Sequence[Image | ImagenError], had: Sequence[Image]) -> Outcome:
    """What the outputs together come to; an image of an earlier attempt stands in for one that cannot be had now."""
    again = {each.sha256 for each in results if isinstance(each, Image)}
    spare = [image for image in had if image.sha256 not in again]
    filled = [spare.pop(0) if spare and isinstance(each, ImagenError) else each for each in results]
    got = (*(each for each in filled if isinstance(each, Image)), *spare)
    missing = {number: each for number, each in enumerate(filled, 1) if isinstance(each, ImagenError)}
    if not missing:
        return Outcome(last, got)
    # One that may still be had keeps the row open, so that reconciling fetches it.
    kinds = ((ProviderError, Status.UNKNOWN), (ImageGoneError, Status.EXPIRED), (ImageError, Status.FAILED))
    status, cause = next(
        (status, each) for kind, status in kinds for each in missing.values() if isinstance(each, kind)
    )
    if got and status is not Status.UNKNOWN:
        status = Status.SUCCEEDED
    error = cause.message
    if len(filled) > 1:
        named = [f"no. {number} {_why_missing(each)}" for number, each in list(missing.items())[:MOST_NAMED]]
        more = [f"{len(missing) - MOST_NAMED} more"] if len(missing) > MOST_NAMED else []
        verb = "is" if len(missing) == 1 else "are"
        error = f"{len(missing)} of {len(filled)} outputs {verb} missing: {'; '.join([*named, *more])}"
    return Outcome(last, got, status, error, cause.code)


def _why_missing(error: ImagenError) -> str:
    if isinstance(error, ImageGoneError):
        return "is gone"
    return f"{'may come later' if isinstance(error, ProviderError) else 'cannot be used'} ({error.message})"


def collect(
    provider: Provider,
    home: Path,
    prediction: Prediction,
    *,
    timeout: float,
    history: Sequence[float] = (),
    typical: float | None = None,
    had: Sequence[Image] = (),
) -> Outcome:
    """Wait for the prediction and fetch its images, in whatever process this runs.

    `timeout` is in seconds; `history`, `typical` and `had` are as for `wait_and_fetch`.
    """
    connections, images = _open_once(os.getpid(), provider, home)
    deadline = Deadline.after(timeout)
    return wait_and_fetch(
        connections, images, prediction, deadline=deadline, history=lambda: history, typical=typical, had=had
    )


@lru_cache(maxsize=4)
def _open_once(pid: int, provider: Provider, home: Path) -> tuple[Connections, Images]:  # noqa: ARG001 - each process has its own
    """What a worker process needs, opened once for all that it collects."""
    return Connections.to(provider), Images(home)


def collect_on(
    executor: Executor,
    provider: Provider,
    home: Path,
    prediction: Prediction,
    *,
    timeout: float,
    history: Sequence[float] = (),
    typical: float | None = None,
    stop: threading.Event,
    had: Sequence[Image] = (),
) -> Outcome | None:
    """`collect` on the executor; a prediction that is overdue, or left at `stop`, comes as it is.

    None where the executor takes no more work, or its worker died: then it is to be collected elsewhere.
    """
    deadline = Deadline.after(timeout)
    try:
        future = executor.submit(
            collect, provider.for_worker(), home, prediction, timeout=timeout, history=history, typical=typical, had=had
        )
        # One that is still in a queue then is canceled from here, and so is one that hangs, while there is time for it.
        while not stop.is_set() and time.monotonic() < (deadline.search if future.running() else deadline.at):
            with suppress(FutureTimeoutError, TimeoutError):
                return future.result(SLICE_S)
            if future.done():
                return future.result()
    except ImagenError:
        raise
    except BaseException:  # noqa: BLE001 - the worker's last words, an interrupt among them: none is this thread's
        return None
    future.cancel()
    return Outcome(prediction, status=prediction.status)
