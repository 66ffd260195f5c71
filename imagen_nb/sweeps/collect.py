"""From an accepted prediction to its images on disk.

Collecting costs nothing and can be repeated anywhere, so it is a function of picklable values that any
`concurrent.futures.Executor` can run; a worker on another machine needs to see the home folder.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from imagen_nb.api.client import Api
from imagen_nb.api.downloads import Downloader
from imagen_nb.api.http import Http
from imagen_nb.api.polling import wait
from imagen_nb.errors import ImageError, ImageGoneError, ImagenError, NotFoundError, ProviderError
from imagen_nb.log.images import Images
from imagen_nb.records import Image, Outcome, Prediction, Status
from imagen_nb.settings import Provider

DOWNLOAD_S = 180.0
"""How long the outputs of one finished prediction may take to arrive, in seconds."""

SLICE_S = 0.25
"""How long to sleep at most before looking whether anything has changed, in seconds."""


@dataclass(frozen=True, slots=True)
class Edges:
    """What collecting needs of the outside: the API, the files' hosts, the folder of images."""

    api: Api
    downloader: Downloader
    images: Images


@dataclass(frozen=True, slots=True)
class Task:
    """One prediction to collect elsewhere. `timeout` is in seconds, `history` holds earlier durations in seconds."""

    provider: Provider
    home: Path
    prediction: Prediction
    timeout: float
    history: tuple[float, ...] = ()
    typical: float | None = None


def collect(task: Task) -> Outcome:
    """Wait for the prediction and fetch its images, in whatever process this runs."""
    edges = _edges(task.provider, task.home)
    deadline = time.monotonic() + task.timeout
    return gather(edges, task.prediction, deadline=deadline, history=lambda: task.history, typical=task.typical)


def delegate(executor: Executor, task: Task, *, stop: threading.Event) -> Outcome | None:
    """`collect` on the executor; one that is overdue, or left at `stop`, comes as it is.

    None where the executor takes no more work, or its worker died: then it is to be collected elsewhere.
    """
    deadline = time.monotonic() + task.timeout + DOWNLOAD_S
    try:
        future = executor.submit(collect, task)
        while not stop.is_set() and time.monotonic() < deadline:
            with suppress(FutureTimeoutError, TimeoutError):
                return future.result(SLICE_S)
            if future.done():
                return future.result()
    except ImagenError:
        raise
    except BaseException:  # noqa: BLE001 - the worker's last words, an interrupt among them: none is this thread's
        return None
    future.cancel()
    return Outcome(task.prediction, status=task.prediction.status)


def gather(
    edges: Edges,
    prediction: Prediction,
    *,
    deadline: float,
    history: Callable[[], Sequence[float]] = tuple,
    typical: float | None = None,
    stop: threading.Event | None = None,
    watch: Callable[[Prediction], None] | None = None,
) -> Outcome:
    """What became of the prediction; one not terminal by the monotonic `deadline` or at `stop` comes as it is."""
    try:
        last = wait(edges.api, prediction, deadline=deadline, history=history, typical=typical, stop=stop, watch=watch)
    except NotFoundError as error:
        return Outcome(prediction, status=Status.FAILED, error=error.message, error_code=error.code)
    except ProviderError as error:
        return Outcome(prediction, status=Status.UNKNOWN, error=error.message, error_code=error.code)
    if last.status is not Status.SUCCEEDED:
        return Outcome(last, status=last.status, error=last.error, error_code=last.error_code)
    if not last.output:
        return _without_output(last)
    return _fetched(edges, last)


def _without_output(last: Prediction) -> Outcome:
    if last.data_removed:
        return Outcome(last, status=Status.EXPIRED, error="the provider has deleted the image", error_code="gone")
    return Outcome(
        last, status=Status.FAILED, error="the provider says succeeded, and gives no image", error_code="no_output"
    )


def _fetched(edges: Edges, last: Prediction) -> Outcome:
    # No stop here: what is finished is paid for, and an interrupt keeps it.
    deadline = time.monotonic() + DOWNLOAD_S
    images: list[Image] = []
    try:
        for uri in last.output:
            images.append(_fetch(edges, uri, deadline))  # noqa: PERF401 - those before a failure are kept
    except ImageGoneError as error:
        return Outcome(last, tuple(images), Status.EXPIRED, error.message, error.code)
    except ImageError as error:
        return Outcome(last, tuple(images), Status.FAILED, error.message, error.code)
    except ProviderError as error:
        # The image is paid for and still there: the row stays open, so that reconciling fetches it later.
        return Outcome(last, tuple(images), Status.UNKNOWN, error.message, error.code)
    return Outcome(last, tuple(images))


def _fetch(edges: Edges, uri: str, deadline: float) -> Image:
    got = edges.downloader.fetch(uri, edges.images.folder, deadline=deadline)
    path = edges.images.publish(got.path, got.sha256, got.mime)
    return Image(path, got.sha256, got.width, got.height, got.bytes, got.mime, got.url)


@lru_cache(maxsize=4)
def _edges(provider: Provider, home: Path) -> Edges:
    """The edges of a worker process, opened once for all its tasks."""
    return open_edges(provider, home)


def open_edges(provider: Provider, home: Path) -> Edges:
    """The API of `provider`, a downloader that fits it, and the images under `home`."""
    return Edges(Api(Http(provider)), Downloader(allow_local=provider.is_local), Images(home))


def unfinished(outcome: Outcome, *, error: str, error_code: str) -> Outcome:
    """The outcome of a prediction that was given up on while the provider may still be at it."""
    return replace(outcome, status=Status.UNKNOWN, error=error, error_code=error_code)
