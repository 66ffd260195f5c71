"""However much a provider sends, memory does not follow."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import monsters
import pytest
from acts import Act, Script, Wire, bomb, endless, reply
from ledger import books
from origin import Origin, Seen
from PIL import features

from imagen_nb.api.http import VALUES_CAP

MOST_MB = 80


def lazily(make: Callable[[], bytes]) -> Act:
    """The reply with what is only made when it is asked for."""

    def act(wire: Wire) -> None:
        reply(make())(wire)

    return act


BOMB = bomb(200)
MONSTERS: dict[str, tuple[str, Act]] = {
    "a bomb for an image": ("file", BOMB),
    "an endless image": ("file", endless(b"\xff" * 65536, start=b"\xff\xd8\xff")),
    "200 megapixels": ("file", reply(monsters.huge(), content_type="image/png")),
    "a WebP of 64 megapixels in 38 bytes": ("file", lazily(partial(monsters.webp, 8192))),
    "a WebP of 4096 x 4096": ("file", lazily(partial(monsters.webp, 4096))),
    "a WebP of 2048 x 2048": ("file", lazily(partial(monsters.webp, 2048))),
    "a PNG of 64 megapixels": ("file", lazily(partial(monsters.png, 8192, 8192, bits=8, colour=2))),
    "a JPEG of 400 scans and 7.6 MB": ("file", lazily(partial(monsters.jpeg_scans, 400, 4096, size=7_600_000))),
    "a JPEG that needs all its coefficients": ("file", lazily(partial(monsters.jpeg_scans, 12, 4096, subsampling=0))),
    **({"an AVIF of 4096 x 4096": ("file", lazily(partial(monsters.avif, 4096)))} if features.check("avif") else {}),
    "a bomb for a reply": ("get", BOMB),
    "an endless reply": ("get", endless(b" " * 65536, start=b'{"id": "')),
    "an endless list": ("list", endless(b"[" * 65536)),
}


@pytest.mark.parametrize("kinds", [["file"], ["get", "list"]], ids=["images", "replies"])
def test_no_reply_makes_memory_grow(home: Path, kinds: list[str]) -> None:
    """200 MB out of a small body, bodies without end, 200 megapixels: the peak rises by 80 MB at most."""
    met = [(kind, act) for kind, act in MONSTERS.values() if kind in kinds]
    with Origin(latency=0.3) as api, started(home, api.base_url, len(met)) as process:
        assert process.stdout.readline() == "ready\n"
        api.fault("create", after=[reply(b"", 502)])  # so that the list is read each time
        for kind, act in met:
            api.fault(kind, instead=[act], times=1)
        first, last, *ends = process.communicate("go\n", timeout=120)[0].split()
        assert float(last) - float(first) <= MOST_MB
        assert set(ends) <= {"succeeded", "failed", "unknown"}
        assert all(fault.played for fault in api.faults), "not every reply was met"
        books(home, api).check()


LARGE: dict[str, Callable[[], bytes]] = {
    "an image in base64": lambda: monsters.embedded(is_base64=True),
    "an image in escapes": lambda: monsters.embedded(is_base64=False),
    "an image with its slashes escaped": lambda: monsters.embedded(is_base64=True).replace(b"/", rb"\/"),
    "an image beside a text of many scripts": lambda: monsters.embedded(
        is_base64=True, side=1700, beside="a狐" * 500_000
    ),
    "a wide text that is read": lambda: monsters.wide(3.9),
    "a wide text that is not": lambda: monsters.wide(15.9),
    "a wide text in ASCII": lambda: monsters.wide(15.9).replace("\U0001f600".encode(), rb"\ud83d\ude00"),
    "nothing but objects": lambda: monsters.crowded(b'{"":{}}'),
    "nothing but lists": lambda: monsters.crowded(b"[[]]"),
    "nothing but numbers": lambda: monsters.crowded(b"1.5"),
    "as many objects as are read": lambda: monsters.crowded(b'{"":{}}', VALUES_CAP // 5),
    "as many names as are read": lambda: monsters.names(VALUES_CAP // 2 - 10),
}


@pytest.mark.parametrize("name", LARGE)
def test_one_large_reply_takes_little_more_than_its_size(home: Path, name: str) -> None:
    """Just under what is read at most, valid and of whatever kind: the peak rises by 80 MB at most."""
    body = LARGE[name]()

    def large(seen: Seen) -> Script:
        return [reply(body.replace(b'"ID"', b'"%b"' % seen.path.split("/")[-1].encode(), 1))]

    with Origin(latency=0.5) as api, started(home, api.base_url, 1) as process:
        assert process.stdout.readline() == "ready\n"
        api.fault("get", instead=large, times=1)
        first, last, *ends = process.communicate("go\n", timeout=120)[0].split()
        assert float(last) - float(first) <= MOST_MB
        assert ends == ["succeeded", "succeeded"]
        assert api.faults[0].played == 1
        ledger = books(home, api)
        ledger.balance(2)
        assert (ledger.rows[1].images[0].width > 64) == ("image" in name)


def started(home: Path, base_url: str, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, monsters.__file__, str(home), base_url, str(count)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
