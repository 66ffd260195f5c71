"""The files API of the simulator: what is uploaded, what becomes of it, and what it costs in memory."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from typing import Any

import psutil
import pytest
from caller import Answer, Caller

from imagen_nb.simulator import Simulator
from imagen_nb.simulator.files import form_parts

Calling = Callable[[Simulator], Caller]


def form(*parts: tuple[str, bytes], boundary: str = "a-line") -> bytes:
    """The body of a form: each part a head beyond its name, and its content."""
    lines = [
        b"--%s\r\nContent-Disposition: form-data; %s\r\n\r\n%s\r\n" % (boundary.encode(), head.encode(), content)
        for head, content in parts
    ]
    return b"".join(lines) + f"--{boundary}--\r\n".encode()


def upload(call: Caller, *parts: tuple[str, bytes], **headers: str) -> Answer:
    return call("POST", "/v1/files", form(*parts), content_type="multipart/form-data; boundary=a-line", **headers)


CONTENT = 'name="content"; filename="fóx.png"\r\nContent-Type: image/png'


def test_an_upload_is_kept_listed_shown_and_dropped(call: Caller, simulator: Simulator) -> None:
    """As the service's page says: name, type, size, checksums, metadata, an address and two times."""
    data = bytes(range(256)) * 700 + b"\r\n--a-lin"
    made = upload(call, ('name="metadata"', b'{"of": "fox"}'), (CONTENT, data))
    page = made.json
    assert made.status == 201
    assert (page["name"], page["content_type"], page["size"]) == ("fóx.png", "image/png", len(data))
    assert page["checksums"] == {"sha256": hashlib.sha256(data).hexdigest(), "md5": hashlib.md5(data).hexdigest()}  # noqa: S324 - the API's
    assert page["metadata"] == {"of": "fox"}
    assert page["urls"]["get"] == f"{simulator.base_url}/v1/files/{page['id']}"
    assert page["created_at"] < page["expires_at"]
    other = upload(
        call, ('name="content"; filename="a.bin"', b"x"), ('name="type"', b"image/jpeg"), ('name="filename"', b"b.jpg")
    ).json
    assert (other["name"], other["content_type"]) == ("b.jpg", "image/jpeg")
    assert [each["id"] for each in call("GET", "/v1/files").json["results"]] == [other["id"], page["id"]]
    assert call.fetch(page["urls"]["get"]).json == page
    assert simulator.files == [other, page]
    assert (call("DELETE", f"/v1/files/{page['id']}").status, call.fetch(page["urls"]["get"]).status) == (204, 404)
    assert call("DELETE", f"/v1/files/{page['id']}").status == 404


def test_an_upload_expires(calling: Calling) -> None:
    """After the life that was asked for it is gone from everywhere."""
    with Simulator(file_life=0.2) as simulator:
        call = calling(simulator)
        page = upload(call, (CONTENT, b"x")).json
        deadline = time.monotonic() + 10
        while call.fetch(page["urls"]["get"]).status == 200 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert call.fetch(page["urls"]["get"]).status == 404
        assert simulator.files == []


def test_the_token_is_asked_for_before_the_file(calling: Calling) -> None:
    """401, and nothing is kept; the reply is not lost with the connection."""
    with Simulator(token="right") as simulator:
        call = calling(simulator)
        assert upload(call, (CONTENT, b"x" * 5_000_000)).status == 401
        assert simulator.files == []
        right = {"authorization": "Bearer right"}
        page = upload(call, (CONTENT, b"x"), **right).json
        assert call("GET", f"/v1/files/{page['id']}").status == 401
        assert call("GET", f"/v1/files/{page['id']}", **right).status == 200


@pytest.mark.parametrize(
    ("body", "media"),
    [
        (b"{}", "application/json"),
        (form((CONTENT, b"x")), "multipart/form-data"),
        (form((CONTENT, b"x"))[:-20], "multipart/form-data; boundary=a-line"),
        (form(('name="other"', b"x")), "multipart/form-data; boundary=a-line"),
        (form((CONTENT, b"x"), ('name="metadata"', b"{")), "multipart/form-data; boundary=a-line"),
        (form(('name="other"', b"x" * 50_000)), "multipart/form-data; boundary=a-line"),
        (b"", "multipart/form-data; boundary=a-line"),
    ],
)
def test_what_is_no_upload_is_refused(call: Caller, simulator: Simulator, body: bytes, media: str) -> None:
    """400 with a reason, nothing is kept, and the connection goes on."""
    assert call("POST", "/v1/files", body, content_type=media).status == 400
    assert simulator.files == []
    assert call("GET", "/v1/files").json["results"] == []


def test_a_large_file_takes_no_memory_and_one_too_large_is_refused(call: Caller, simulator: Simulator) -> None:
    """60 MB leave no more than a few in memory; beyond 100 MB it is 413."""

    class Body:
        """60 or more megabytes that are nowhere in memory."""

        def __init__(self, pieces: int) -> None:
            head = form((CONTENT, b"")).removesuffix(b"\r\n--a-line--\r\n")
            self._pieces = [head, *[bytes(1_000_000)] * pieces, b"\r\n--a-line--\r\n"]
            self.length = sum(map(len, self._pieces))

        def send(self) -> Answer:
            connection = call._connection
            headers = {"Content-Type": "multipart/form-data; boundary=a-line", "Content-Length": str(self.length)}
            connection.request("POST", "/v1/files", body=iter(self._pieces), headers=headers)
            reply = connection.getresponse()
            return Answer(reply.status, reply.headers, reply.read())

    before = psutil.Process().memory_info().rss
    made = Body(60).send()
    assert (made.status, made.json["size"]) == (201, 60_000_000)
    assert psutil.Process().memory_info().rss - before < 20_000_000
    assert Body(101).send().status == 413
    assert len(simulator.files) == 1


@pytest.mark.parametrize("step", [1, 2, 3, 7, 64])
def test_a_form_is_read_alike_in_pieces_of_any_size(step: int) -> None:
    """Wherever the pieces are cut, the parts are the same."""
    body = form(('name="a"', b"\r\n--a-lin\r\n"), ('name="b"', b""), ('name="c"', b"--a-line"))
    source = iter(body[at : at + step] for at in range(0, len(body), step))
    parts = form_parts(lambda _: next(source, b""), "multipart/form-data; boundary=a-line")
    read: list[Any] = [(head.split('"')[1], b"".join(pieces)) for head, pieces in parts]
    assert read == [("a", b"\r\n--a-lin\r\n"), ("b", b""), ("c", b"--a-line")]
    assert json.dumps([name for name, _ in read]) == '["a", "b", "c"]'
