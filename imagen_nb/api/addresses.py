"""Where an output may lie: https on a public host, or on this machine where the provider is there too."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import SplitResult, urljoin, urlsplit

import requests
from urllib3.util import parse_url

from imagen_nb.api.transport import Head, place
from imagen_nb.errors import ImageError
from imagen_nb.settings import is_loopback

HINT = "Outputs are fetched over https from public hosts only; nothing was sent there."
MOVED = (301, 302, 303, 307, 308)

_HOST = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?|\[[0-9a-f:.]+\]")
_GLOBAL_V6 = ipaddress.ip_network("2000::/3")


def check_url(url: str, *, allow_local: bool) -> str:
    """The URL as it is, where an output may lie there. Raises `ImageError` where it may not."""
    parts = _asked(url)
    host = (parts.hostname or "").rstrip(".") if parts else ""
    if parts is None or not host or parts.scheme not in ("http", "https"):
        scheme = re.match(r"[A-Za-z][A-Za-z0-9+.-]{0,20}:", url)
        raise ImageError(f"an output's address cannot be used ({scheme[0] if scheme else 'no'} URL)", HINT)
    if allow_local and is_loopback(host):
        return url
    if parts.scheme != "https" or "@" in parts.netloc or not _is_public(host):
        raise ImageError(f"an output lies at {parts.scheme}://{place(url)}, which is refused", HINT)
    return url


def follow_redirect(url: str, head: Head, *, allow_local: bool) -> str | None:
    """Where a redirect leads, None where the answer is none. Raises `ImageError` for one that leaves the origin."""
    if head.status not in MOVED:
        return None
    location = head.headers.get("location", "")
    try:
        target = urljoin(url, location)
    except ValueError:
        target = ""
    old, new = _asked(url), _asked(target)
    if old is None or new is None or _origin(old) != _origin(new):
        raise ImageError(f"{place(url)} redirects an output to {place(location)}, which is refused", HINT)
    return check_url(target, allow_local=allow_local)


def _asked(url: str) -> SplitResult | None:
    """The parts of a URL as it will be asked for, None where it is malformed or two readers see two hosts in it.

    requests rewrites a URL before it connects, and ends the host elsewhere than `urlsplit` does: at a backslash, or
    after `%2e` became a dot. What is checked has to be what is connected to.
    """
    if "\\" in url or not url.isprintable():
        return None
    try:
        prepared = str(requests.Request("GET", url).prepare().url)
        parts, host = urlsplit(prepared), (parse_url(prepared).host or "").lower()
        _ = parts.port  # raises, where it is none
    except (requests.RequestException, ValueError):
        return None
    return parts if _HOST.fullmatch(host) and host.strip("[]") == parts.hostname else None


def _origin(parts: SplitResult) -> tuple[str, str | None, int]:
    return parts.scheme, parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)


def _is_public(host: str) -> bool:
    """Whether a host can be one on the open net: a global address, or a name that is none in disguise."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        last = host.rpartition(".")[2]
        is_private = host.endswith((".localhost", ".local", ".internal", ".home.arpa", ".lan"))
        return "." in host and not is_private and not re.fullmatch(r"\d+|0x[0-9a-f]*", last)
    address = getattr(address, "ipv4_mapped", None) or address
    return address.is_global and not address.is_multicast and _is_plain(address)


def _is_plain(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Whether it is no IPv6 address with an IPv4 address in it, which might be a private one."""
    if isinstance(address, ipaddress.IPv4Address):
        return True
    return address in _GLOBAL_V6 and address.sixtofour is None and address.teredo is None
