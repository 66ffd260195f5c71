"""A proxy that opens tunnels (`CONNECT`), and knows where every name leads: to one server on this machine."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from typing_extensions import Self


class Tunnel:
    """See the module. `asked` holds the host and port of each tunnel. A context manager."""

    def __init__(self, base_url: str) -> None:
        self.asked: list[str] = []
        self._to = ("127.0.0.1", int(urlsplit(base_url).port or 0))
        self._seen: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, name="tunnel", daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def bytes_seen(self) -> bytes:
        """Everything any client sent, inside the tunnels too."""
        return b"".join(self._seen)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), name="tunnel-wire", daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            piece = client.recv(1)
            if not piece:
                client.close()
                return
            head += piece
        self._seen.append(head)
        self.asked.append(head.split(b" ")[1].decode("latin-1"))
        server = socket.create_connection(self._to)
        client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        back = threading.Thread(target=self._pump, args=(server, client, []), name="tunnel-back", daemon=True)
        back.start()
        self._pump(client, server, self._seen)
        back.join()
        client.close()
        server.close()

    def _pump(self, source: socket.socket, to: socket.socket, seen: list[bytes]) -> None:
        with suppress(OSError):
            while piece := source.recv(65536):
                seen.append(piece)
                to.sendall(piece)
        with suppress(OSError):
            to.shutdown(socket.SHUT_WR)
