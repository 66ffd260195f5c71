"""Files that requests need, brought to the provider: as an upload, or within the request as a `data:` URI.

An upload goes once, streamed from the disk, and is kept by the provider for a day. It is free, so it is repeated where
it fails for a while. Of the answer only the address counts, and how long it is good for: the address goes into inputs,
and nothing, a token least of all, is ever sent to it. Whether an upload is still there is asked of the base URL.
"""

from __future__ import annotations

import base64
import os
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import quote, urlsplit

from imagen_nb.api.http import Http, is_page
from imagen_nb.api.replies import is_identifier, moment
from imagen_nb.api.transport import Exchange
from imagen_nb.errors import NotFoundError, ProviderError, RejectedError, UncertainError, UnreachableError
from imagen_nb.records import InputFile, Upload
from imagen_nb.settings import SLICE_S, is_loopback

PATH = "/v1/files"

SMALL_BYTES = 256 * 1024
"""A file up to this size goes within the request: "a few hundred KB" is what the service's maintainers advise, and an
upload would cost one more round trip for what each request carries along in the time of one."""

MOST_INLINE_BYTES = 10_000_000
"""The largest file that is sent within a request where there are no uploads; the provider may take less."""

LIFE, SPARE = timedelta(hours=1), timedelta(minutes=1)
"""How long an upload is taken to live whose answer does not say, and how long one must live still to be named in a
request, or a tenth of its life."""

_LONGEST_ADDRESS = 2000


class Uploads:
    """The uploads of one provider; safe to use from many threads.

    `are_offered` is False once it has answered that it takes none.
    """

    def __init__(self, http: Http) -> None:
        self._http = http
        self.are_offered = True
        self._locks: dict[str, threading.Lock] = {}
        self._seen: set[str] = set()

    def address(
        self,
        file: InputFile,
        find: Callable[[], Upload | None],
        keep: Callable[[Upload], None],
        *,
        deadline: float,
        stop: threading.Event | None = None,
    ) -> str:
        """The address of an upload of the file, which is made once for all threads and lasts as long as it lives.

        `find` gives the last one that is known, `keep` makes a new one known before its address is given. One of
        another process is looked for at the provider first: it may have been deleted, or be of another account. Raises
        as `put` does, and `UnreachableError` where others take until the monotonic `deadline`, or `stop`.
        """
        lock = self._locks.setdefault(file.sha256, threading.Lock())
        while not lock.acquire(timeout=SLICE_S):
            is_stopped = stop is not None and stop.is_set()
            if is_stopped or time.monotonic() > deadline:
                why = "stopped" if is_stopped else "its time was over"
                raise UnreachableError(f"{why} before {file.name} was uploaded", "")
        try:
            known = find()
            if known is None or not self._is_good(known, deadline, stop):
                known = self.put(file, deadline=deadline, stop=stop)
                keep(known)
            self._seen.add(known.id)
        finally:
            lock.release()
        return known.url

    def _is_good(self, known: Upload, deadline: float, stop: threading.Event | None) -> bool:
        spare = min(SPARE, (known.expires_at - known.made_at) / 10)
        if datetime.now(timezone.utc) > known.expires_at - spare:
            return False
        try:
            return known.id in self._seen or self.has(known.id, deadline=deadline, stop=stop)
        except ProviderError as error:
            if error.is_stopping:
                raise
            return False  # nobody knows, and another upload is free

    def put(self, file: InputFile, *, deadline: float, stop: threading.Event | None = None) -> Upload:
        """Upload the file by the monotonic `deadline`.

        Raises `NotFoundError` where the provider takes no uploads, else the `ProviderError` that fits, which names the
        file; none of them is uncertain, as nothing is billed in any case.
        """
        boundary = os.urandom(16).hex()
        try:
            reply = self._http.send(
                "POST",
                PATH,
                body=lambda exchange: FileForm(file, boundary, exchange),
                headers={"Content-Type": f"multipart/form-data; boundary={boundary}"},
                deadline=deadline,
                patience=float("inf"),
                stop=stop,
            )
            return self._read(reply.body)
        except ProviderError as error:
            if isinstance(error, NotFoundError) or is_page(error):
                self.are_offered = False
                raise NotFoundError("the provider takes no uploads", "Give the file's https: address.") from None
            kind = ProviderError if isinstance(error, UncertainError) else type(error)
            hint = "Make it smaller, or give its https: address." if isinstance(error, RejectedError) else error.hint
            message = f"{file.name} could not be uploaded: {error.message}"
            raise kind(message, hint, status=error.status, raw=error.raw) from None

    def has(self, upload_id: str, *, deadline: float, stop: threading.Event | None = None) -> bool:
        """Whether the upload is still there and ours. Raises `ProviderError` where that cannot be asked."""
        try:
            self._http.send("GET", f"{PATH}/{quote(upload_id, safe='')}", deadline=deadline, stop=stop)
        except NotFoundError:
            return False
        return True

    def _read(self, body: Any) -> Upload:
        """The upload in an answer. Raises `UncertainError` for one that names no address a provider can fetch."""
        urls, identifier = body.get("urls"), body.get("id")
        url = urls.get("get") if isinstance(urls, dict) else None
        if not (is_identifier(identifier) and isinstance(url, str) and self._is_usable(url)):
            raise UncertainError("the provider's answer is about no file", "Give the file's https: address.")
        begins, ends = moment(body.get("created_at")), moment(body.get("expires_at"))
        now = datetime.now(timezone.utc)  # their clock may be another
        return Upload(str(identifier), url, now, now + (ends - begins if begins and ends and ends > begins else LIFE))

    def _is_usable(self, url: str) -> bool:
        try:
            parts = urlsplit(url)
            host, _ = parts.hostname, parts.port
        except ValueError:
            return False
        is_plain = len(url) < _LONGEST_ADDRESS and url.isascii() and url.isprintable() and " " not in url
        is_safe = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host) and self._http.is_local)
        return is_plain and is_safe and bool(host) and not (parts.username or parts.password)


class FileForm:
    """A form with one file in the field `content`, read from the disk as it is sent and for no longer than that may."""

    def __init__(self, file: InputFile, boundary: str, exchange: Exchange) -> None:
        name = "".join(each if each.isprintable() and each not in '"\\' else "_" for each in file.name)
        head = "".join(
            f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"\r\n\r\n{value}\r\n'
            for field, value in (("filename", name), ("type", file.mime))
        )
        head += f'--{boundary}\r\nContent-Disposition: form-data; name="content"; filename="{name}"\r\n'
        self._head = f"{head}Content-Type: {file.mime}\r\n\r\n".encode("utf-8", "replace")
        self._tail = f"\r\n--{boundary}--\r\n".encode()
        self._file = file
        self._size = file.path.stat().st_size
        self._pieces = self._read()
        self._exchange = exchange

    def __len__(self) -> int:
        return len(self._head) + self._size + len(self._tail)

    def __iter__(self) -> Iterator[bytes]:
        return self._pieces

    def read(self, _size: int = -1) -> bytes:
        """The next piece; empty at the end."""
        self._exchange.seconds_left()
        return next(self._pieces, b"")

    def _read(self) -> Iterator[bytes]:
        yield self._head
        with self._file.path.open("rb") as file:
            while piece := file.read(64 * 1024):
                yield piece
        yield self._tail


def data_uri(file: InputFile) -> str:
    """The file as a `data:` URI."""
    return f"data:{file.mime};base64,{base64.b64encode(file.path.read_bytes()).decode('ascii')}"
