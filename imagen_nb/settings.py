"""Who answers, with which token, and where the log lies: the only reader of the environment."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from imagen_nb.errors import Hint, InputError, SettingsError
from imagen_nb.files import absolute_path

DEFAULT_MODEL = "google/imagen-4"
DEFAULT_HOME = "imagen_runs"
SIMULATOR = "simulator"
JOBS = 16
"""The most predictions in flight."""
TIMEOUT_S = 600.0
"""After how many seconds one prediction is over."""
SLICE_S = 0.25
"""How long one waits in one piece before looking whether anything has changed, in seconds."""
CONFIRM_ABOVE = 20
"""A plan with more requests than this is confirmed before it is sent."""
THUMBNAIL_PX = 512
"""The longer side of a card's thumbnail in pixels: twice what it is shown at, so sharp on a dense screen."""


@dataclass(frozen=True, slots=True)
class KnownProvider:
    """A provider one can name: what stands before `/v1`, and the variable its token is looked for in."""

    base_url: str
    token_variable: str


KNOWN_PROVIDERS: Mapping[str, KnownProvider] = {
    "kkiai": KnownProvider("https://www.kkiai.com/replicate", "KKIAI_API_KEY"),
    "replicate": KnownProvider("https://api.replicate.com", "REPLICATE_API_TOKEN"),
}

logins: dict[str, Secret] = {}
"""The tokens given at a login, by provider: a known name or a base URL. They live as long as the process."""


class _Environment:
    """Environment variables, one at a time: a verbose traceback would print a plain mapping, with all that is in it."""

    __slots__ = ("_variables",)

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables

    def value(self, name: str) -> str | None:
        """The variable's text without surrounding space, None for an empty one."""
        return self._variables.get(name, "").strip() or None


_SHORTEST_MASKED = 8


class Secret:
    """A token that never shows itself: `repr`, `str` and formatting give a mask, `reveal()` the text.

    It stays in its process: a copy is the same secret, and what is pickled with it has None in its place.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        text = (_text(text, "token") or "").strip()
        if not text or not text.isascii() or not text.isprintable() or " " in text:
            raise SettingsError(
                "the token cannot be sent: it is empty, or has a space, a line break or a non-ASCII character",
                "Copy it again from the provider's page; a token is one word of plain letters and digits.",
            )
        self._text = text

    def reveal(self) -> str:
        """The token itself, for the one header that needs it."""
        return self._text

    def mask_bytes(self, data: bytearray) -> bytearray:
        """The bytes without the token, should a foreign message have repeated it; copied only where they have it.

        A token of a few letters, as one makes up for a server of one's own, stands in ids and addresses by chance.
        """
        token = self._text.encode()
        return data.replace(token, b"[token]") if len(token) >= _SHORTEST_MASKED and token in data else data

    def __repr__(self) -> str:
        return "Secret([token])"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return type(None), ()


class WorkersSecret(Secret):
    """The token on its way to an executor's worker, which asks with it: this alone is pickled whole."""

    __slots__ = ()

    def __reduce__(self) -> tuple[Any, ...]:
        return Secret, (self._text,)


@dataclass(frozen=True, slots=True)
class Provider:
    """Who answers. `base_url` is what stands before `/v1`, without a trailing slash."""

    name: str
    base_url: str
    token: Secret | None = None

    @property
    def is_simulator(self) -> bool:
        return self.name == SIMULATOR

    @property
    def is_given_as_url(self) -> bool:
        """Whether nothing but its base URL is known of it."""
        return self.name == self.base_url

    @property
    def is_local(self) -> bool:
        """Whether the base URL is on this machine, so that its output files may be too."""
        return is_loopback(urlsplit(self.base_url).hostname)

    def for_worker(self) -> Provider:
        """The same to send to another process that is to ask it: pickled, it has its token."""
        return self if self.token is None else replace(self, token=WorkersSecret(self.token.reveal()))


@dataclass(frozen=True, slots=True)
class Settings:
    """What a workspace is opened with. `notice` is a line for the user, or None."""

    provider: Provider
    model: str
    home: Path
    notice: str | None = None


def resolve(
    *,
    provider: str | None = None,
    token: str | None = None,
    model: str | None = None,
    home: str | os.PathLike[str] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """The settings in force: an argument, else `IMAGEN_NB_*`, else the provider whose token is set, else the simulator.

    `provider` is a name of `KNOWN_PROVIDERS`, "simulator" or a base URL. Raises `SettingsError` for an unknown name,
    an unsafe base URL, what is no text or no path, and a provider that needs a token where none is found.
    """
    env = _Environment(os.environ if environ is None else environ)
    token, model = _text(token, "token"), _text(model, "model")
    name = _text(provider, "provider") or env.value("IMAGEN_NB_PROVIDER")
    notice = None
    if name is None:
        name = next((known for known in KNOWN_PROVIDERS if _own_token(known, env)), None)
    if name is None:
        if token or env.value("IMAGEN_NB_TOKEN"):
            raise SettingsError(
                "a token is given, but not whose it is",
                Hint(
                    f"Name the provider too, as IMAGEN_NB_PROVIDER or {{}}: {', '.join(KNOWN_PROVIDERS)}, a base URL.",
                    "provider=",
                    "--provider",
                ),
            )
        name = SIMULATOR
        notice = Hint(
            "No token found: images come from the built-in simulator. {} changes that.",
            "%imagen_login or a token variable",
            f"The variable {' or '.join(known.token_variable for known in KNOWN_PROVIDERS.values())}",
        )
    try:
        folder = absolute_path(home or env.value("IMAGEN_NB_HOME") or DEFAULT_HOME)
    except InputError as error:
        raise SettingsError(f"the home folder cannot be used: {error.message}", error.hint) from None
    return Settings(
        provider=_provider(name, token, env),
        model=model or env.value("IMAGEN_NB_MODEL") or DEFAULT_MODEL,
        home=folder,
        notice=notice,
    )


def remember(provider: str, token: str) -> None:
    """Keep a token in this process's memory, for `provider` (a known name or a base URL)."""
    name = _text(provider, "provider") or ""
    logins[name if name in KNOWN_PROVIDERS else _base_url(name)] = Secret(token)


def login_provider() -> str:
    """The provider that a login is for when none is named: the one the environment names, else the first known."""
    named = _Environment(os.environ).value("IMAGEN_NB_PROVIDER")
    return named if named and named != SIMULATOR else next(iter(KNOWN_PROVIDERS))


def is_loopback(host: str | None) -> bool:
    """Whether a host name or address is this machine's own."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def _text(value: object, what: str) -> str | None:
    """The argument as it is. Raises `SettingsError` for what is neither text nor None."""
    if value is None or isinstance(value, str):
        return value
    raise SettingsError(f"the {what} is not text", f"It is of the type {type(value).__name__}; give it as a string.")


def _own_token(name: str, env: _Environment) -> Secret | None:
    """The token that was meant for this provider alone: one given at a login, else its own variable's."""
    known = KNOWN_PROVIDERS.get(name)
    text = env.value(known.token_variable) if known else None
    return logins.get(name) or (Secret(text) if text else None)


def _provider(name: str, given: str | None, env: _Environment) -> Provider:
    if name == SIMULATOR:
        return Provider(SIMULATOR, "")
    known = KNOWN_PROVIDERS.get(name)
    base_url = known.base_url if known else _base_url(name)
    full_name = name if known else base_url
    override = given or env.value("IMAGEN_NB_TOKEN")
    token = Secret(override) if override else _own_token(full_name, env)
    if token is None and not is_loopback(urlsplit(base_url).hostname):
        variable = known.token_variable if known else "IMAGEN_NB_TOKEN"
        raise SettingsError(
            f"no token for the provider {name}",
            Hint(f"Set the variable {variable}{{}}; provider 'simulator' needs none.", ", or call %imagen_login"),
        )
    return Provider(full_name, base_url, token)


def _base_url(text: str) -> str:
    """What stands before `/v1` in the text. Raises `SettingsError` for what is no URL, and for an unsafe one."""
    choices = ", ".join([*KNOWN_PROVIDERS, SIMULATOR])
    if "://" not in text:
        raise SettingsError(f"unknown provider {text!r}", f"Choose one of {choices}, or give a base URL.")
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in ("http", "https") or parts.query or parts.fragment or not text.isprintable():
        raise SettingsError(
            "the provider's base URL cannot be used", "It looks like https://host/path: what stands before /v1."
        )
    if parts.username or parts.password:
        raise SettingsError("the base URL holds a user name or password", "Give the token as IMAGEN_NB_TOKEN instead.")
    if parts.scheme == "http" and not is_loopback(host):
        raise SettingsError(f"plain http to {host} would send the token in the open", "Use https://.")
    return text.rstrip("/").removesuffix("/v1")
