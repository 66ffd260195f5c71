"""A random subset of indices that depends on nothing but its arguments."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator


def sampled(total: int, count: int, seed: int) -> tuple[int, ...]:
    """`count` different indices below `total`, ascending, each subset as likely as any other.

    The same arguments give the same indices on every machine and Python version. Work and memory are proportional to
    `count` alone (R. W. Floyd's algorithm).
    """
    chosen: set[int] = set()
    for top, drawn in zip(range(total - count, total), _draws(seed), strict=False):
        candidate = drawn % (top + 1)
        chosen.add(top if candidate in chosen else candidate)
    return tuple(sorted(chosen))


def _draws(seed: int) -> Iterator[int]:
    """An endless row of numbers of 128 bits, so many that taking a remainder leaves no bias to be seen."""
    number = 0
    while True:
        digest = hashlib.sha256(f"{seed}:{number}".encode()).digest()
        yield int.from_bytes(digest[:16], "big")
        yield int.from_bytes(digest[16:], "big")
        number += 1
