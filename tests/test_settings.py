"""Who answers, and that the token stays where it belongs."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace
from pathlib import Path

import pytest

from imagen_nb import settings
from imagen_nb.errors import SettingsError

CANARY = "r8_canary0123456789"


def _resolved(environ: dict[str, str], **options: str) -> settings.Settings:
    return settings.resolve(environ=environ, **options)


def test_without_a_token_the_simulator_answers_and_says_so() -> None:
    """Nothing set: provider simulator, default model, home beside the notebook, and one line for the user."""
    made = _resolved({})
    assert made.provider.name == "simulator"
    assert made.provider.token is None
    assert made.model == "google/imagen-4"
    assert made.home == Path.cwd() / "imagen_runs"
    assert made.notice
    assert "simulator" in made.notice


@pytest.mark.parametrize(
    ("environ", "name", "token"),
    [
        ({"REPLICATE_API_TOKEN": "aa"}, "replicate", "aa"),
        ({"KKIAI_API_KEY": "kk", "REPLICATE_API_TOKEN": "aa"}, "kkiai", "kk"),
        ({"IMAGEN_NB_PROVIDER": "replicate", "KKIAI_API_KEY": "kk", "REPLICATE_API_TOKEN": "aa"}, "replicate", "aa"),
        ({"REPLICATE_API_TOKEN": "aa", "IMAGEN_NB_TOKEN": "zz"}, "replicate", "zz"),
        ({"IMAGEN_NB_PROVIDER": "https://example.com/api/", "IMAGEN_NB_TOKEN": "zz"}, "https://example.com/api", "zz"),
    ],
)
def test_the_environment_chooses_the_provider_and_its_token(environ: dict[str, str], name: str, token: str) -> None:
    """A named provider wins, else the one whose variable is set, kkiai first; IMAGEN_NB_TOKEN overrides the token."""
    provider = _resolved(environ).provider
    assert provider.name == name
    assert provider.token is not None
    assert provider.token.reveal() == token


def test_arguments_win_over_the_environment(tmp_path: Path) -> None:
    """Each argument of resolve() comes before its variable."""
    environ = {"IMAGEN_NB_PROVIDER": "kkiai", "IMAGEN_NB_TOKEN": "zz", "IMAGEN_NB_MODEL": "a/b", "IMAGEN_NB_HOME": "h"}
    made = _resolved(environ, provider="replicate", token="tt", model="c/d", home=str(tmp_path))
    assert (made.provider.name, made.model, made.home) == ("replicate", "c/d", tmp_path)
    assert made.provider.token is not None
    assert made.provider.token.reveal() == "tt"
    assert _resolved(environ).model == "a/b"


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"provider": "replicate"}, "REPLICATE_API_TOKEN"),
        ({"provider": "kkiai"}, "KKIAI_API_KEY"),
        ({"provider": "https://example.com"}, "IMAGEN_NB_TOKEN"),
        ({"provider": "replicat", "token": "x"}, "replicate"),
        ({"provider": "http://example.com", "token": "x"}, "https://"),
        ({"provider": "https://user:pw@example.com", "token": "x"}, "IMAGEN_NB_TOKEN"),
        ({"provider": "https://:x/", "token": "x"}, "https://host/path"),
        ({"token": "x"}, "IMAGEN_NB_PROVIDER"),
        ({"provider": "replicate", "token": "two words"}, "token"),
        ({"provider": "replicate", "token": "line\nbreak"}, "token"),
        ({"provider": "replicate", "token": "t\u00f6ken"}, "token"),
    ],
)
def test_settings_that_cannot_work_name_the_next_step(options: dict[str, str], named: str) -> None:
    """A wrong provider, URL or token is a two-line error that says what to set, and never shows the token."""
    with pytest.raises(SettingsError) as caught:
        _resolved({}, **options)
    assert named in caught.value.hint or named in caught.value.message
    assert "line\nbreak" not in str(caught.value)
    assert len(caught.value._render_traceback_()) == 2


def test_loopback_needs_neither_tls_nor_a_token() -> None:
    """A server on this machine may be plain http and tokenless."""
    provider = _resolved({}, provider="http://127.0.0.1:8123").provider
    assert provider.base_url == "http://127.0.0.1:8123"
    assert provider.is_local
    assert not _resolved({"REPLICATE_API_TOKEN": "a"}).provider.is_local


def test_a_login_is_kept_in_memory_and_chooses_its_provider() -> None:
    """After remember() the provider needs no variable; what no provider bears is refused."""
    assert _resolved({}).provider.name == "simulator"
    settings.remember("replicate", CANARY)
    assert _resolved({}).provider.name == "replicate"
    with pytest.raises(SettingsError):
        settings.remember("replicat", CANARY)


def test_a_secret_shows_itself_nowhere() -> None:
    """repr, str, format and the repr of everything that holds it give a mask; pickled, only a worker's has it."""
    provider = _resolved({"REPLICATE_API_TOKEN": CANARY}).provider
    secret = provider.token
    assert secret is not None
    for text in (repr(secret), str(secret), f"{secret}", repr(provider), repr(_resolved({"KKIAI_API_KEY": CANARY}))):
        assert CANARY not in text
    assert secret.mask_bytes(bytearray(f"Invalid header {CANARY}".encode())) == b"Invalid header [token]"
    for each in (secret, provider, _resolved({"KKIAI_API_KEY": CANARY})):
        assert CANARY.encode() not in pickle.dumps(each)
        assert copy.copy(each) == copy.deepcopy(each) == each
    assert pickle.loads(pickle.dumps(provider)) == replace(provider, token=None)  # noqa: S301 - our own bytes
    sent = provider.for_worker()
    assert CANARY not in repr(sent)
    arrived = pickle.loads(pickle.dumps(sent))  # noqa: S301 - likewise
    assert arrived == provider
    assert CANARY.encode() not in pickle.dumps(arrived)


@pytest.mark.parametrize("name", ["provider", "token", "model", "home"])
def test_what_is_no_text_is_said(name: str) -> None:
    """A number or a list where text belongs is a mistake like any other: two lines, without a look at the code."""
    for value in (3, ["replicate"], b"\xff", object()):
        options: dict[str, object] = {"provider": "replicate", "token": CANARY, name: value}
        if name == "home" and isinstance(value, bytes):
            continue
        with pytest.raises(SettingsError, match=name) as caught:
            settings.resolve(environ={}, **options)  # type: ignore[arg-type] # that is the point
        assert CANARY not in str(caught.value)


def test_a_token_of_a_few_letters_masks_nothing_by_chance() -> None:
    """A real one is masked wherever a reply repeats it; `x` stands in every second id and address."""
    assert settings.Secret("r8_canary").mask_bytes(bytearray(b'{"detail": "r8_canary"}')) == b'{"detail": "[token]"}'
    assert settings.Secret("x").mask_bytes(bytearray(b'{"id": "x1y2"}')) == b'{"id": "x1y2"}'
