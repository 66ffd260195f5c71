"""The loopback server of the benchmark, in a process of its own: `python server.py LATENCY SPREAD`, in seconds.

Prints its base URL, serves until its standard input closes, then prints what it saw as one JSON object.
"""

from __future__ import annotations

import io
import itertools
import json
import sys
from typing import Any

from PIL import Image

from imagen_nb.simulator import Simulator


def photo(side: int = 1024) -> bytes:
    """A JPEG of a photo's size and grain, so that decoding costs what it costs in earnest."""
    noise = Image.effect_noise((side // 4, side // 4), 60).resize((side, side))
    gradient = Image.linear_gradient("L").resize((side, side))
    buffer = io.BytesIO()
    Image.merge("RGB", (noise, gradient, gradient.rotate(90))).save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


def numbered(jpeg: bytes, number: int) -> bytes:
    """The same picture as a different file: a comment segment holds the number."""
    comment = f"{number:012d}".encode()
    return jpeg[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + jpeg[2:]


def main() -> None:
    jpeg, numbers = photo(), itertools.count()

    def paint(*_args: Any, **_options: Any) -> bytes:
        return numbered(jpeg, next(numbers))

    with Simulator(latency=(float(sys.argv[1]), float(sys.argv[2])), paint=paint) as simulator:
        print(simulator.base_url, flush=True)
        sys.stdin.read()
        made = simulator.predictions
        latency = sum(each["metrics"]["total_time"] for each in made)
        seen = {"requests": len(simulator.requests), "predictions": len(made), "latency_s": latency}
        print(json.dumps(seen), flush=True)


if __name__ == "__main__":
    main()
