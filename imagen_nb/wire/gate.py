"""The one door that all calls of a workspace pass, as fast as the provider lets them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeAlias

from imagen_nb.core.pacing import Bucket
from imagen_nb.errors import ThrottledError, UnreachableError
from imagen_nb.settings import Provider

Doze: TypeAlias = Callable[[float, threading.Event | None], None]
"""Sleep for some seconds, or until the event is set."""

CREATES = 600 / 60
"""What the service allows, in creates a second."""

OTHERS = 3000 / 60
"""The same for every other call."""

LOCAL_CREATES, LOCAL_OTHERS = 200.0, 2000.0
"""A provider on this machine publishes no limits; these keep a mistake from eating it."""

SLICE_S = 0.25
"""How long one waits in line at most before looking whether it is still worth it, in seconds."""

AT_ONCE_S = 0.001
"""A turn that comes in fewer seconds than this has come."""

HINT = "The provider limits how fast one may ask: use fewer jobs or a longer timeout, or go on later with --resume."


def doze(seconds: float, stop: threading.Event | None) -> None:
    """Sleep for `seconds`, or until `stop` is set."""
    if stop is None:
        time.sleep(seconds)
    else:
        stop.wait(seconds)


class Gate:
    """Lets calls pass at the provider's rate, which it learns from refusals; safe to use from many threads.

    Creates and other calls have limits of their own, and so two queues here. Each call that has to wait gets a turn; a
    refusal voids all turns and closes the queue for as long as the provider asks. Then turns are given out afresh, so
    that nobody storms the door when it opens.
    """

    def __init__(
        self,
        creates: float = CREATES,
        others: float = OTHERS,
        *,
        clock: Callable[[], float] = time.monotonic,
        doze: Doze = doze,
    ) -> None:
        """`creates` and `others` are requests a second to start with, and the most there will be."""
        self._clock = clock
        self._doze = doze
        self._lock = threading.Lock()
        now = clock()
        self._buckets = {True: Bucket.fresh(creates, now), False: Bucket.fresh(others, now)}
        self._epochs = {True: 0, False: 0}
        self._line = threading.Lock()
        self._accepted_at = now

    def stand_in_line(self, longest: float, is_over: Callable[[], bool]) -> bool:
        """Wait until a create could pass at once; False where `is_over` said so meanwhile.

        Only the one at the head of the line waits for the provider. So a request comes to `acquire` when its turn is
        near, and does not grow old behind others. A pause of more than `longest` seconds that the provider asked for
        is left to `acquire`, which says so.
        """
        while not self._line.acquire(timeout=SLICE_S):
            if is_over():
                return False
        try:
            while not is_over():
                wait = self._buckets[True].take(self._clock())[1]
                if wait < AT_ONCE_S or self.waiting > longest:
                    return True
                self._doze(min(wait, SLICE_S), None)
        finally:
            self._line.release()
        return False

    def acquire(self, *, create: bool, deadline: float, stop: threading.Event | None = None) -> float:
        """Wait for this call's turn and give the time it came, which `throttled` wants to know.

        Raises `ThrottledError` at once where the turn comes after the monotonic `deadline`, and `UnreachableError`
        when `stop` is set before the turn came.
        """
        if stop is not None and stop.is_set():
            raise _stopped()
        epoch, turn = self._turn(create, deadline)
        while (left := turn - self._clock()) > 0 or epoch != self._epochs[create]:
            if epoch != self._epochs[create]:
                epoch, turn = self._turn(create, deadline)
                continue
            self._doze(left, stop)
            if stop is not None and stop.is_set():
                raise _stopped()
        return self._clock()

    def throttled(self, retry_after: float | None, create: bool, *, asked_at: float | None = None) -> None:
        """The provider refused a call that passed at `asked_at`, and asks to wait for `retry_after` seconds, if any."""
        with self._lock:
            self._buckets[create] = self._buckets[create].slowed(self._clock(), retry_after, asked_at=asked_at)
            self._epochs[create] += 1

    def accepted(self, create: bool) -> None:
        """The provider took a call, whatever it answered."""
        with self._lock:
            if create:
                self._accepted_at = self._clock()
            self._buckets[create] = self._buckets[create].recovered()

    @property
    def refusing_for(self) -> float:
        """Seconds since the provider last took a create, or since there is this gate."""
        return self._clock() - self._accepted_at

    @property
    def waiting(self) -> float:
        """Seconds for which creates are held back because the provider asked to wait; 0 when they are not."""
        return self._buckets[True].closed_for(self._clock())

    def rate(self, *, create: bool) -> float:
        """The learned rate, in requests a second."""
        return self._buckets[create].rate

    def _turn(self, create: bool, deadline: float) -> tuple[int, float]:
        with self._lock:
            now = self._clock()
            bucket, wait = self._buckets[create].take(now)
            if wait and now + wait > deadline:
                raise _too_long(wait, deadline - now)
            self._buckets[create] = bucket
            return self._epochs[create], now + wait


def gate_for(provider: Provider) -> Gate:
    """A gate that starts with the limits the service publishes, or with none to speak of on this machine."""
    return Gate(LOCAL_CREATES, LOCAL_OTHERS) if provider.is_local else Gate()


def _stopped() -> UnreachableError:
    return UnreachableError("stopped before the request was sent", "")


def _too_long(wait: float, allowed: float) -> ThrottledError:
    return ThrottledError(
        f"the provider lets this request through in {wait:.0f} s, and it may wait for {max(0.0, allowed):.0f} s",
        HINT,
        status=429,
        retry_after=wait,
    )
