"""Replies without measure, and a process that meets them and says how much memory it took.

`python monsters.py HOME BASE_URL COUNT` makes one request, waits for a line of input, makes COUNT more, and prints the
most memory it ever had before and after them, in MB, and how each ended.
"""

from __future__ import annotations

import base64
import io
import math
import random
import re
import resource
import struct
import sys
import zlib
from functools import cache
from pathlib import Path

from PIL import Image

from imagen_nb.api.http import BODY_CAP
from imagen_nb.workspace import Workspace


@cache
def embedded(*, is_base64: bool, side: int = 0, beside: str = "") -> bytes:
    """A whole reply a little below the cap: a large image as a `data:` URI, beside a prompt that is not ASCII."""
    side = side or (2030 if is_base64 else 1340)
    file = io.BytesIO()
    Image.frombytes("RGB", (side, side), random.Random(0).randbytes(side * side * 3)).save(file, "PNG")  # noqa: S311
    data = file.getvalue()
    uri = b";base64," + base64.b64encode(data) if is_base64 else b"," + b"%" + data.hex("%").encode()
    before = '"status": "succeeded", "input": {"prompt": "\U0001f98a%s"}, "output": "data:image/png'
    return _prediction(before % beside, uri, '"')


@cache
def wide(megabytes: float) -> bytes:
    """A reply with a log of so many MB, in which one letter takes four bytes in memory."""
    return _prediction('"logs": "', b"a" * int(megabytes * 1024 * 1024), '\U0001f600"')


@cache
def crowded(piece: bytes, count: int = 0) -> bytes:
    """A reply that holds so many small things, or as many as there is room for."""
    return _prediction('"metrics": [', b",".join([piece] * (count or (BODY_CAP - 1024) // (len(piece) + 1))), "]")


@cache
def names(count: int) -> bytes:
    """A reply that echoes so many inputs, each with a name of its own."""
    return _prediction('"input": {', b",".join(b'"%x":0' % number for number in range(count)), "}")


def _prediction(before: str, filling: bytes, after: str) -> bytes:
    """A prediction whose id is `ID`, until somebody gives it another."""
    body = b'{"id": "ID", ' + before.encode() + filling + after.encode() + b"}"
    assert len(body) < BODY_CAP
    return body


@cache
def huge() -> bytes:
    """A small PNG file of 200 megapixels."""
    return png(20_000, 10_000)


@cache
def png(width: int, height: int, *, bits: int = 1, colour: int = 0) -> bytes:
    """A small PNG file of any size: every row is there, so that nothing but its size speaks against it."""
    packer, row = zlib.compressobj(9), bytes(1 + math.ceil(width * bits * {0: 1, 2: 3, 6: 4}[colour] / 8))
    rows = b"".join([*(packer.compress(row) for _ in range(height)), packer.flush()])
    return png_head(width, height, bits, colour) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def png_head(width: int, height: int, bits: int, colour: int, *, is_interlaced: bool = False) -> bytes:
    """How a PNG file begins."""
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, is_interlaced)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)


def chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of a PNG file."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@cache
def webp(side: int) -> bytes:
    """A WebP of one colour in 38 bytes, whatever its size: only the two numbers in its header tell."""
    file = io.BytesIO()
    Image.new("RGB", (16, 16), "teal").save(file, "WEBP", lossless=True)
    data = file.getvalue()
    packed = int.from_bytes(data[21:25], "little") >> 28 << 28 | (side - 1) << 14 | (side - 1)
    return data[:21] + packed.to_bytes(4, "little") + data[25:]


@cache
def avif(side: int) -> bytes:
    """An AVIF of one colour."""
    file = io.BytesIO()
    Image.new("RGB", (side, side), "teal").save(file, "AVIF", speed=10)
    return file.getvalue()


@cache
def jpeg_scans(count: int, side: int, *, size: int = 0, subsampling: int = 2) -> bytes:
    """A progressive JPEG whose last scan comes so often, and that is filled with empty segments to a size in bytes."""
    file = io.BytesIO()
    Image.new("RGB", (side, side), "teal").save(file, "JPEG", progressive=True, subsampling=subsampling)
    data = file.getvalue()
    starts = [found.start() for found in re.finditer(rb"\xff\xda", data)]
    scan = data[starts[-1] : -2]
    filling = b"\xff\xfe\xff\xff" + bytes(65533)
    before = data[: starts[-1]] + filling * max(0, (size - len(data)) // len(filling))
    return before + scan * (count - len(starts) + 1) + b"\xff\xd9"


def peak_mb() -> float:
    """The most memory this process has had, in MB."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage counts what the parent had when it started this one
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read_text())[1]) / 1024  # type: ignore[index] # it is there
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2


def main() -> None:
    home, base_url, count = sys.argv[1:]
    with Workspace(Path(home), provider=base_url, settle_s=0.6) as workspace:
        ends = [str(workspace.generate("a fox").status)]
        first = peak_mb()
        print("ready", flush=True)
        sys.stdin.readline()
        for _ in range(int(count)):
            (run,) = workspace.run(workspace.plan("a fox"), timeout=20, hold=0)
            ends.append(str(run.status))
        print(f"{first:.0f} {peak_mb():.0f} {' '.join(ends)}")


if __name__ == "__main__":
    main()
