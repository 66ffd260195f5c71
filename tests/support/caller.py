"""A stranger's way to speak to a simulator: plain HTTP, nothing of the package."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from email.message import Message
from typing import Any

PATH = "/v1/models/google/imagen-4/predictions"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Message
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Caller:
    """One connection, kept alive."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self._connection.request(method, path, body=content, headers=named)
        reply = self._connection.getresponse()
        return Answer(reply.status, reply.headers, reply.read())

    def create(
        self, prompt: str = "a red fox", *, model: str = "google/imagen-4", wait: bool = False, **inputs: Any
    ) -> Any:
        held = {"prefer": "wait"} if wait else {}
        made = self("POST", f"/v1/models/{model}/predictions", {"input": {"prompt": prompt, **inputs}}, **held)
        assert made.status == 201, made.body
        return made.json

    def get(self, prediction: Any) -> Any:
        return self("GET", f"/v1/predictions/{prediction['id']}").json

    def fetch(self, uri: str) -> Answer:
        return self("GET", "/" + uri.split("/", 3)[3])

    def close(self) -> None:
        self._connection.close()
