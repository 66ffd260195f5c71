"""What the README, the pages of docs/ and the changelog say is so: blocks run, names exist, links lead somewhere."""

from __future__ import annotations

import importlib
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
from shells import session

import imagen_nb
from imagen_nb.cli import main
from imagen_nb.planning.options import TABLE, manual
from imagen_nb.planning.plan import plan
from imagen_nb.records import Status
from imagen_nb.settings import KNOWN_PROVIDERS
from imagen_nb.workspace import Workspace

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = {path.stem: path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs").glob("*.md"))}
TEXTS = {"README": README, **PAGES}
ALL = "\n".join(TEXTS.values())
COMMANDS = {"lab", "demo", "run", "log", "models", "reconcile", "simulator", "doctor", "docs"}
SHELL_OPTIONS = {
    "--adopt",
    "--csv",
    "--parquet",
    "--html",
    "--last",
    "--status",
    "--port",
    "--latency",
    "--seed",
    "--home",
    "--provider",
}
FOREIGN_OPTIONS = {"--strict"}


def blocks(text: str, kind: str) -> list[str]:
    """A page's fenced blocks of one kind."""
    return re.findall(rf"^```{kind}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def section(text: str, heading: str) -> str:
    """A page's text below one heading."""
    return text.split(f"\n## {heading}\n")[1].partition("\n## ")[0]


@pytest.mark.parametrize("page", [name for name, text in TEXTS.items() if blocks(text, "python")])
def test_cells_of_a_page_run_in_order(
    page: str, simulator: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every `python` block of a page is a cell; run in a new notebook, none fails or shows False."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IMAGEN_NB_PROVIDER", simulator.base_url)
    with session(tmp_path, load=False) as shell:
        for block in blocks(TEXTS[page], "python"):
            result = shell.run(block)
            assert shell.error is None, f"{block}\n{shell.error}"
            assert result is not False, block


def test_commands_of_the_page_run(simulator: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The example of the command line's page does what its words say, line by line."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IMAGEN_NB_PROVIDER", simulator.base_url)
    for line in "".join(blocks(PAGES["command-line"], "console")).splitlines():
        assert main(shlex.split(line)[1:]) == 0, line
    assert len(simulator.predictions) == 4
    assert len((tmp_path / "foxes.csv").read_text(encoding="utf-8").splitlines()) == 5


def test_commands_exist() -> None:
    """Every `make` target and every `imagen-nb` command that a page names is there, and none is left out."""
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    lines = [line for block in blocks(README, "console") for line in block.splitlines()]
    assert {"demo", "test"} <= {line.split()[1] for line in lines if line.startswith("make ")} <= targets
    assert set(re.findall(r"`imagen-nb ([a-z]+)", PAGES["command-line"])) == COMMANDS
    assert set(re.findall(r"(?:^|`)imagen-nb ([a-z]+)", ALL, re.MULTILINE)) == COMMANDS


def test_options_are_the_magics() -> None:
    """The table has every option of the magic, and no text names an option that is not there."""
    longs = {option.long for option in TABLE}
    said = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", ALL))
    table = section(PAGES["magic"], "Options")
    assert longs - {"--help"} <= set(re.findall(r"--[a-z-]+", table))
    assert said <= longs | SHELL_OPTIONS | FOREIGN_OPTIONS
    for option in TABLE:
        if option.short and option.name != "help":
            assert f"-{option.short}, {option.long}" in table


def test_manual_has_every_option() -> None:
    """`%imagen?` names every option in both forms, with its meaning."""
    text = manual()
    for option in TABLE:
        assert str(option) in text
        assert option.help.split()[0] in text


def test_columns_are_the_logs(simulator: Any, home: Path) -> None:
    """The columns that the page lists are those of `frame()`, in that order, and so are the words of `status`."""
    with Workspace(home=home, provider=simulator.base_url) as workspace:
        workspace.generate("a {style} fox", style="red", aspect_ratio="1:1")
        columns = list(workspace.frame().columns)
    text = section(PAGES["log"], "Columns")
    listed = next(part for part in text.split("\n\n") if part.startswith("`experiment "))
    head, tail = (part.split() for part in re.findall(r"`([^`]+)`", listed))
    assert columns[: len(head)] == head
    assert columns[-len(tail) :] == tail
    assert columns[len(head)] == "style"
    assert " ".join(Status) in " ".join(text.split())


def test_providers_are_the_known_ones() -> None:
    """Name, base URL and variable of every provider stand in one row of the page's table."""
    for name, known in KNOWN_PROVIDERS.items():
        assert f"| `{name}` | `{known.base_url}` | `{known.token_variable}` |" in PAGES["providers"]


def test_names_exist() -> None:
    """Each `im.name`, `ws.name` and `df.imagen.name` of any page can be had, and the accessor's table is complete."""
    import pandas as pd

    importlib.import_module("imagen_nb.accessor")
    assert set(re.findall(r"\bim\.(\w+)", ALL)) <= set(dir(imagen_nb))
    assert all(hasattr(Workspace, name) for name in re.findall(r"\bws\.(\w+)\(", ALL))
    accessor: Any = pd.DataFrame.imagen  # type: ignore[attr-defined] # given to it by the package
    assert all(hasattr(accessor, name) for name in re.findall(r"\bdf\.imagen\.(\w+)", ALL))
    table = re.findall(r"^\| `df\.imagen\.(\w+)\(", PAGES["looking"], re.MULTILINE)
    assert set(table) == {name for name in vars(accessor) if not name.startswith("_")}


def test_what_a_message_tells_one_to_call_exists() -> None:
    """A function of the package that a message names, `imagen_nb.reconcile()` say, can be called as it says."""
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "imagen_nb").rglob("*.py")]
    named = {name for text in sources for name in re.findall(r"\bimagen_nb\.(\w+)\(", text)}
    assert named
    assert named <= set(imagen_nb.__all__)
    assert all(callable(getattr(imagen_nb, name)) for name in named)


@pytest.mark.parametrize("page", ["README.md", "CHANGELOG.md", *(f"docs/{name}.md" for name in PAGES)])
def test_links_lead_somewhere(page: str) -> None:
    """Every file that a page or the changelog links to is in the tree."""
    for target in re.findall(r"\]\(([^)#:]+)\)", (ROOT / page).read_text(encoding="utf-8")):
        assert (ROOT / page).parent.joinpath(target).is_file(), f"{page} links to {target}"


def test_every_page_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    """The README links to each page, and `imagen-nb docs` lists and prints it; a wrong name gets the right ones."""
    assert set(re.findall(r"\]\(docs/([\w-]+)\.md\)", README)) == set(PAGES)
    assert main(["docs"]) == 0
    listed = capsys.readouterr().out
    for name, text in PAGES.items():
        assert f"{name} " in listed
        assert main(["docs", name]) == 0
        assert capsys.readouterr().out == text
    assert main(["docs", "nothing"]) == 2
    assert ", ".join(PAGES) in capsys.readouterr().err


def test_changelog_has_this_version() -> None:
    """The version in force has its own heading, and its day."""
    heading = rf"^## \[{re.escape(imagen_nb.__version__)}\] - \d{{4}}-\d\d-\d\d$"
    assert re.search(heading, (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("text", [section(PAGES["magic"], "Slots"), section(PAGES["log"], "Columns")])
def test_pages_say_what_unnamed_slots_are_called(text: str) -> None:
    """The columns that alternatives without a name fill stand in the pages by the names they have."""
    slots = plan("a {fox|owl} in {oil|ink}", model="google/imagen-4")[0].slots
    assert all(f"`{name}`" in text for name in slots)


def test_make_without_a_target_lists_them() -> None:
    """`make` alone explains itself, and touches nothing."""
    done = subprocess.run(["make", "--no-print-directory"], capture_output=True, text=True, check=True, cwd=ROOT)  # noqa: S607 - make is found as users find it
    for target in ("demo", "lab", "test", "bench", "lint", "matrix", "clean", "help"):
        assert re.search(rf"^  {target} ", done.stdout, re.MULTILINE)


def test_make_refuses_an_old_python(tmp_path: Path) -> None:
    """A Python that is too old, or cannot make environments, is said in two lines that name a way out."""
    old = tmp_path / "python3"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.8.2" || exit 1\n')
    old.chmod(0o755)
    command = ["make", f"PYTHON={old}", f"VENV={tmp_path / 'venv'}", "demo"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    said = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    assert done.returncode != 0
    assert len(said) == 2
    assert "3.10" in said[0]
    assert "Python 3.8.2" in said[0]
    assert "PYTHON=" in said[1]


def test_make_explains_a_missing_venv_module(tmp_path: Path) -> None:
    """Debian's Python without python3-venv is told what to install."""
    bare = tmp_path / "python3"
    bare.write_text('#!/bin/sh\ncase "$2" in *ensurepip*) exit 1;; esac\nexit 0\n')
    bare.chmod(0o755)
    command = ["make", f"PYTHON={bare}", f"VENV={tmp_path / 'venv'}", "demo"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode != 0
    assert "python3-venv" in done.stderr


def test_promises_are_held_by_tests_that_exist() -> None:
    """Each line of "What it promises" names a file of tests, and a test in it."""
    promised = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", PAGES["promises"])
    assert len(promised) == PAGES["promises"].count("\n- ")
    for file, name in promised:
        assert re.search(
            rf"^(    )?(def|class) {name or 'test_'}", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE
        ) or (f"{name} = " in (ROOT / file).read_text(encoding="utf-8"))
