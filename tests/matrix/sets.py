"""The kernel tests on sets of versions, each in an environment of its own under .venv-matrix/: `make matrix`.

The newest set runs the browser tests too.
`python tests/matrix/sets.py [SET ...]` runs the sets named, or all. A set whose Python is not on this machine is
skipped with the reason; under CI=true that is a failure. Only the standard library is used here.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / ".venv-matrix"
TOOLS = ("pytest>=8.2", "pytest-xdist>=3.5", "jupyter_client", "nbclient>=0.9", "hypothesis>=6.100", "psutil>=5.9")
FRONT_ENDS = ("jupyterlab>=4.1", "nbclassic>=1.1", "notebook>=7.2", "voila>=0.5.7")
BROWSER_TOOLS = ("axe-playwright-python>=0.1.5", "nbconvert>=7.14", "playwright>=1.45", *FRONT_ENDS)
FOLDERS, BROWSER_FOLDERS = ("tests/matrix", "tests/notebook"), ("tests/browser",)
SHOWN = ("ipython", "ipykernel", "ipywidgets", "pandas", "sqlalchemy")

Version = tuple[int, int]


@dataclass(frozen=True)
class VersionSet:
    """Pins, and the Pythons they are meant for in order of preference; none: the newest one found."""

    name: str
    pins: tuple[str, ...]
    pythons: tuple[Version, ...] = ()
    has_browser: bool = False


SETS = (
    VersionSet(
        "lowest",
        (
            "anywidget==0.9.13",
            "filelock==3.12.*",
            "ipykernel==6.29.*",
            "ipython==8.12.*",
            "ipywidgets==8.1.0",
            "jinja2==3.1.0",
            "numpy<2",
            "pandas==2.0.*",
            "pillow==10.1.*",
            "requests==2.31.*",
            "sqlalchemy==2.0.20",
            "urllib3==2.0.7",
        ),
        ((3, 10), (3, 11)),
    ),
    VersionSet("ipykernel-7.3", ("ipykernel==7.3.*",), (sys.version_info[:2],)),
    VersionSet("newest", ("ipykernel>=6.29,!=6.30.0,!=7.0.*",), has_browser=True),
)


# -- which Pythons there are ------------------------------------------------------------------------------------------


def candidates() -> Iterator[str]:
    """Every Python one can think of: this one, its neighbours (pyenv, uv), pyenv's, and what PATH offers."""
    yield sys.executable
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    for folder in (Path(sys.base_prefix).parent, pyenv):
        yield from map(str, sorted(folder.glob("*/bin/python3")))
    for name in ("python3", *(f"python3.{minor}" for minor in range(10, 20))):
        if path := shutil.which(name):
            yield path


def probed(python: str) -> tuple[Version, str] | None:
    """The version and the base installation of a Python that runs, is released and can make environments."""
    code = (
        "import sys, ensurepip, venv; v = sys.version_info; "
        "print(v.major, v.minor, v.releaselevel, sys.implementation.name, sys._base_executable)"
    )
    try:
        done = subprocess.run([python, "-c", code], capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    major, minor, level, implementation, base = done.stdout.strip().split(" ", 4)
    is_good = level == "final" and implementation == "cpython" and (int(major), int(minor)) >= (3, 10)
    return ((int(major), int(minor)), base) if is_good else None


def installed(pythons: Iterable[str]) -> dict[Version, str]:
    """The first Python found of each version."""
    found: dict[Version, str] = {}
    for python in pythons:
        if seen := probed(python):
            found.setdefault(*seen)
    return found


def chosen(each: VersionSet, found: dict[Version, str]) -> Version | None:
    """The Python a set runs on, or None."""
    return next((version for version in each.pythons or sorted(found, reverse=True) if version in found), None)


# -- one set ----------------------------------------------------------------------------------------------------------


def prepared(each: VersionSet, python: str) -> Path:
    """The Python of the set's environment, made or brought up to date."""
    folder = HOME / each.name
    inside = folder / "bin" / "python"
    if not inside.exists():
        subprocess.run([python, "-m", "venv", str(folder)], check=True)
    pip = [str(inside), "-m", "pip", "-qq", "--disable-pip-version-check", "--no-input", "install"]
    tools = (*TOOLS, *BROWSER_TOOLS) if each.has_browser else TOOLS
    subprocess.run([*pip, "--upgrade", "--editable", str(ROOT), *each.pins, *tools], cwd=ROOT, check=True)
    return inside


def versions(inside: Path) -> str:
    """The versions that matter, in one line."""
    code = (
        "from importlib.metadata import version; import sys; "
        "print(*(f'{name} {version(name)}' for name in sys.argv[1:]), sep=', ')"
    )
    done = subprocess.run([str(inside), "-c", code, *SHOWN], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def tested(each: VersionSet, inside: Path, options: list[str]) -> tuple[bool, str]:
    """Whether the set's tests pass there, and pytest's closing line."""
    marked, folders = ("kernel or browser", (*FOLDERS, *BROWSER_FOLDERS)) if each.has_browser else ("kernel", FOLDERS)
    spread = ("--numprocesses=2", "--dist=loadgroup")
    command = [str(inside), "-m", "pytest", "-m", marked, "-p", "no:cacheprovider", *spread, *options, *folders]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        say(done.stdout)
    lines = done.stdout.strip().splitlines() or ["pytest said nothing"]
    return done.returncode == 0, re.sub(r"^=+ | =+$", "", lines[-1])


def report(each: VersionSet, found: dict[Version, str], options: list[str]) -> bool:
    """Run one set and say how it went; whether it went well."""
    version = chosen(each, found)
    if version is None:
        wanted = " or ".join(f"3.{minor}" for _, minor in each.pythons)
        say(f"{each.name}: skipped, no Python {wanted} found; found {', '.join(f'3.{m}' for _, m in sorted(found))}")
        return os.environ.get("CI") != "true"
    began = time.monotonic()
    inside = prepared(each, found[version])
    is_good, closing = tested(each, inside, options)
    say(f"{each.name}: Python 3.{version[1]}, {versions(inside)}")
    say(f"{each.name}: {'ok' if is_good else 'FAILED'}: {closing}; {time.monotonic() - began:.0f} s with the set-up")
    return is_good


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(description="Run the kernel tests on sets of versions.")
    names = [each.name for each in SETS]
    parser.add_argument("sets", nargs="*", metavar="SET", help=f"{', '.join(names)} (default: all)")
    arguments, options = parser.parse_known_args()
    if unknown := set(arguments.sets) - set(names):
        parser.error(f"no set {', '.join(sorted(unknown))}; choose from {', '.join(names)}")
    found = installed(candidates())
    results = [report(each, found, options) for each in SETS if not arguments.sets or each.name in arguments.sets]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
