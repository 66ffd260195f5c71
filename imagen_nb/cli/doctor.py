"""`imagen-nb doctor`: what is in force, and what is broken. It asks the provider one question and makes no image."""

from __future__ import annotations

import platform
import sqlite3
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from imagen_nb.errors import AuthenticationError, CreditError, ImagenError, NotFoundError, in_shell
from imagen_nb.log.log import Log
from imagen_nb.settings import SIMULATOR
from imagen_nb.views.words import count
from imagen_nb.workspace import Workspace

ANSWER_S = 20.0
WIDTH = 80
PACKAGES = (
    "ipython",
    "ipykernel",
    "ipywidgets",
    "anywidget",
    "jupyterlab",
    "pandas",
    "sqlalchemy",
    "pillow",
    "requests",
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report; `hint` says what to do where `is_good` is False."""

    name: str
    text: str
    is_good: bool = True
    hint: str = ""


def doctor(*, home: str | None = None, provider: str | None = None) -> int:
    """Print what was found, in three columns and at most 80 wide where its words allow; 1 if something is broken."""
    is_broken = False
    for finding in _findings(home, provider):
        is_broken |= not finding.is_good
        lead = f"{'ok  ' if finding.is_good else 'BAD '} {finding.name:<10} "
        indent = " " * len(lead)
        for text in filter(None, (finding.text, finding.hint)):
            for line in textwrap.wrap(text, WIDTH - len(lead), break_long_words=False):
                sys.stdout.write(f"{lead}{line}\n")
                lead = indent
        sys.stdout.flush()
    return int(is_broken)


def _findings(home: str | None, provider: str | None) -> Iterator[Finding]:
    """One after the other: the versions that behaviour depends on, who answers, whether it does, and the folder."""
    python = f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}"
    yield Finding("imagen-nb", f"{_version('imagen-nb')}, {python}, {platform.system()} {platform.machine()}")
    yield Finding("packages", ", ".join(f"{name} {_version(name)}" for name in PACKAGES))
    try:
        workspace = Workspace(home=home, provider=provider)
    except ImagenError as error:
        yield _broken("provider", error)
    else:
        with workspace:
            named = workspace.settings.provider
            if named.is_simulator:
                yield Finding("provider", in_shell(workspace.settings.notice or "simulator, in this process"))
                yield Finding("token", "none needed")
            else:
                address = "" if named.name == named.base_url else f" at {named.base_url}"
                yield Finding("provider", f"{named.name}{address}")
                token = "found (it is never shown)" if named.token else "none; none needed on this machine"
                yield Finding("token", token)
            yield Finding("model", workspace.model)
            try:
                yield reachable(workspace)
            except ImagenError as error:
                yield _broken("reachable", error)
    # The folder is looked at whoever answers; the simulator needs no token.
    with Workspace(home=home, provider=SIMULATOR) as local:
        try:
            yield writable(local.home)
        except ImagenError as error:
            yield _broken("home", error)


def reachable(workspace: Workspace) -> Finding:
    """Whether the provider answers, by asking for the newest prediction; raises `ImagenError` where it does not."""
    began = time.monotonic()
    try:
        next(iter(workspace.connections.api.list(deadline=began + ANSWER_S, pages=1)), None)
    except NotFoundError:
        if model := workspace.connections.api.only_model:
            return Finding("reachable", f"yes: Cog's HTTP server with the model {model}; what is lost is put again")
        return Finding("reachable", "yes, but it does not list predictions: a lost reply cannot be looked for")
    except (AuthenticationError, CreditError) as error:
        return Finding("reachable", f"yes, but: {error.message}", is_good=False, hint=in_shell(error.hint))
    return Finding("reachable", f"yes, in {1000 * (time.monotonic() - began):.0f} ms")


def writable(home: Path) -> Finding:
    """Whether a log can be kept in `home`, tried out; a folder not there yet is tried beside where it will be."""
    if home.exists():
        with Log(home) as log:
            log.check_writable()
            problems = log.verify()
            text = f"{home}, writable, {count(log.count(), 'run')}; {journal(log)}"
        return Finding("home", text, not problems, "; ".join(problems[:3]))
    parent = next(folder for folder in home.parents if folder.exists())
    try:
        with tempfile.TemporaryDirectory(prefix=".imagen_doctor_", dir=parent) as trial, Log(Path(trial)) as log:
            return Finding("home", f"{home}, will be made at the first run; {journal(log)}")
    except OSError as error:
        return Finding(
            "home", f"{home} cannot be made: {error.strerror}", is_good=False, hint="Choose another: --home."
        )


def journal(log: Log) -> str:
    """SQLite's journal mode in this log."""
    with log.reading() as conn:
        return f"journal {str(conn.exec_driver_sql('PRAGMA journal_mode').scalar_one()).upper()}"


def _broken(name: str, error: ImagenError) -> Finding:
    return Finding(name, error.message, is_good=False, hint=in_shell(error.hint))


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
