"""Clients of an `Origin`, with a token that must not be seen anywhere else."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

from origin import Origin

from imagen_nb.api.client import Api
from imagen_nb.api.http import Http
from imagen_nb.records import Request
from imagen_nb.settings import Provider, Secret

CANARY = "r8_CanaryThatMustNotBeSeen0123456789"


def soon(seconds: float = 10.0) -> float:
    """A deadline."""
    return time.monotonic() + seconds


def eventually(holds: Callable[[], bool], seconds: float = 5.0) -> None:
    """Wait until something holds, and fail if it does not."""
    until = soon(seconds)
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.01)


def provider_of(origin: Origin | str, token: str | None = CANARY) -> Provider:
    base_url = origin if isinstance(origin, str) else origin.base_url
    return Provider(base_url, base_url, Secret(token) if token else None)


def http_of(origin: Origin | str, *, token: str | None = CANARY, **options: Any) -> Http:
    return Http(provider_of(origin, token), **options)


def api_of(origin: Origin | str, **options: Any) -> Api:
    return Api(http_of(origin, **options))


def fox(prompt: str = "a fox", *, model: str = "google/imagen-4", **params: Any) -> Request:
    """One request."""
    return Request(model, {"prompt": prompt, **params}, prompt)


class Naps:
    """Stands in for sleeping: takes no time, and remembers how long it should have been."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def __call__(self, seconds: float, stop: threading.Event | None) -> None:  # noqa: ARG002 - as sleep()
        self.seconds.append(seconds)


def shown(error: BaseException) -> str:
    """All that a verbose traceback could show of an error: its chain, and every variable of the frames below a test."""
    texts = [*traceback.format_exception(type(error), error, error.__traceback__), repr(error), repr(vars(error))]
    for each in _chain(error):
        texts += [repr(value) for frame in _frames(each.__traceback__) for value in frame.f_locals.values()]
    return "\n".join(texts)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _frames(trace: TracebackType | None) -> Iterator[Any]:
    while trace is not None:
        if "/tests/" not in trace.tb_frame.f_code.co_filename:
            yield trace.tb_frame
        trace = trace.tb_next
