"""From an accepted prediction to its images on disk.

Collecting costs nothing and can be repeated anywhere, so `collect` is a function of picklable values that any
`concurrent.futures.Executor` can run; a worker on another machine needs to see the home folder.
"""

from __future__ import annotations

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
class Connections:
    """The ways to a provider: its API, and the hosts of its files."""

    api: Api
    downloader: Downloader

    @classmethod
    def to(cls, provider: Provider) -> Connections:
        """New ones; nothing is sent yet."""
        return cls(Api(Http(provider)), Downloader(allow_local=provider.is_local))

    def close(self) -> None:
        """End the calls under way."""
        self.api.close()
        self.downloader.close()


def wait_and_fetch(
    connections: Connections,
    images: Images,
    prediction: Prediction,
    *,
    deadline: float,
    history: Callable[[], Sequence[float]] = tuple,
    typical: float | None = None,
    stop: threading.Event | None = None,
    watch: Callable[[Prediction], None] | None = None,
) -> Outcome:
    """What became of the prediction; one not terminal by the monotonic `deadline` or at `stop` comes as it is.

    `history` gives how many seconds recent predictions took, `typical` is what to expect without it; `watch` is called
    at each change of status.
    """
    try:
        last = wait(
            connections.api, prediction, deadline=deadline, history=history, typical=typical, stop=stop, watch=watch
        )
    except NotFoundError as error:
        return Outcome(prediction, status=Status.FAILED, error=error.message, error_code=error.code)
    except ProviderError as error:
        return Outcome(prediction, status=Status.UNKNOWN, error=error.message, error_code=error.code)
    if last.status is not Status.SUCCEEDED:
        return Outcome(last, status=last.status, error=last.error, error_code=last.error_code)
    if last.output:
        return _fetch_outputs(connections, images, last)
    if last.data_removed:
        return Outcome(last, status=Status.EXPIRED, error="the provider has deleted the image", error_code="gone")
    why = "the provider says succeeded, and gives no image"
    return Outcome(last, status=Status.FAILED, error=why, error_code="no_output")


def _fetch_outputs(connections: Connections, images: Images, last: Prediction) -> Outcome:
    # No stop here: what is finished is paid for, and an interrupt keeps it.
    deadline = time.monotonic() + DOWNLOAD_S
    fetched: list[Image] = []
    try:
        for uri in last.output:
            got = connections.downloader.fetch(uri, images.folder, deadline=deadline)
            path = images.publish(got.path, got.sha256, got.mime)
            fetched.append(Image(path, got.sha256, got.width, got.height, got.bytes, got.mime, got.url))
    except ImageGoneError as error:
        return Outcome(last, tuple(fetched), Status.EXPIRED, error.message, error.code)
    except ImageError as error:
        return Outcome(last, tuple(fetched), Status.FAILED, error.message, error.code)
    except ProviderError as error:
        # The image is paid for and still there: the row stays open, so that reconciling fetches it later.
        return Outcome(last, tuple(fetched), Status.UNKNOWN, error.message, error.code)
    return Outcome(last, tuple(fetched))


def collect(
    provider: Provider,
    home: Path,
    prediction: Prediction,
    *,
    timeout: float,
    history: Sequence[float] = (),
    typical: float | None = None,
) -> Outcome:
    """Wait for the prediction and fetch its images, in whatever process this runs.

    `timeout` is in seconds; `history` and `typical` are as for `wait_and_fetch`.
    """
    connections, images = _open_once(os.getpid(), provider, home)
    deadline = time.monotonic() + timeout
    return wait_and_fetch(connections, images, prediction, deadline=deadline, history=lambda: history, typical=typical)


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
) -> Outcome | None:
    """`collect` on the executor; a prediction that is overdue, or left at `stop`, comes as it is.

    None where the executor takes no more work, or its worker died: then it is to be collected elsewhere.
    """
    deadline = time.monotonic() + timeout + DOWNLOAD_S
    try:
        future = executor.submit(collect, provider, home, prediction, timeout=timeout, history=history, typical=typical)
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
    return Outcome(prediction, status=prediction.status)
