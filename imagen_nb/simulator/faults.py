"""Faults that can be switched on, for tests and for practice; without any, the simulator is a service in good health.

They go through the same server as everything else and can be changed while it runs: `simulator.faults = Faults(…)`.
Fractions are chances between 0 and 1, drawn from the simulator's seed, so that the same run meets the same faults.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Faults:
    """What goes wrong. Everything is off by default.

    `creates_per_minute`, `burst`: over this rate a create is answered with 429.
    `retry_after`: where that reply says how long to wait: "header", "body", "text" (only in the sentence) or "all".
    `no_credit`: creates are answered with 402.
    `error_before`, `error_after`: fraction of creates answered with 502 before, or after, they were processed.
    `drop_before`, `drop_after`: fraction of creates whose connection ends before, or is reset after, processing.
    `get_errors`: fraction of other calls of the API answered with 500.
    `no_list`, `no_cancel`, `no_models`: the call is not offered (404).
    `list_lag_s`: seconds until a prediction appears in the list.
    `ignore_prefer`: `Prefer: wait` is not honoured.
    `early_output`: a held create that is done says `processing`, with its output already there.
    `cold_start_s`: seconds added before a prediction starts.
    `clock_skew_s`: seconds that the server's clock is ahead.
    `foreign_next`: the list's `next` names api.replicate.com, as the service's does behind a gateway.
    `data_uris`: outputs are `data:` URIs instead of URLs.
    """

    creates_per_minute: float | None = None
    burst: int = 1
    retry_after: str = "all"
    no_credit: bool = False
    error_before: float = 0.0
    error_after: float = 0.0
    drop_before: float = 0.0
    drop_after: float = 0.0
    get_errors: float = 0.0
    no_list: bool = False
    no_cancel: bool = False
    no_models: bool = False
    list_lag_s: float = 0.0
    ignore_prefer: bool = False
    early_output: bool = False
    cold_start_s: float = 0.0
    clock_skew_s: float = 0.0
    foreign_next: bool = False
    data_uris: bool = False


@dataclass(frozen=True, slots=True)
class Meter:
    """A token bucket as a value: `tokens` were left at the moment `at`, in seconds."""

    tokens: float = math.inf
    at: float = 0.0

    def take(self, per_minute: float, burst: int, now: float) -> tuple[Meter, float]:
        """The meter after one create, and the seconds to wait: 0.0 when it passes."""
        tokens = min(float(burst), self.tokens + (now - self.at) * per_minute / 60)
        if tokens >= 1:
            return replace(self, tokens=tokens - 1, at=now), 0.0
        return replace(self, tokens=tokens, at=now), (1 - tokens) * 60 / per_minute


def chance(seed: int, kind: str, number: int) -> float:
    """A number in [0, 1), always the same for the same seed, kind and number."""
    return random.Random(f"{seed}/{kind}/{number}").random()  # noqa: S311 - faults must repeat, not be secret
