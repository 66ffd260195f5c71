"""`imagen-nb lab` opens JupyterLab; `demo` runs the quickstart without browser or token; `docs` prints the manual."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from imagen_nb.cli.logbook import show_log
from imagen_nb.errors import InputError, brief, comma_list
from imagen_nb.settings import SIMULATOR
from imagen_nb.views.words import seconds, size

QUICKSTART, COMPARE, JUDGE = "01_quickstart.ipynb", "02_compare.ipynb", "03_judge.ipynb"
RUNS = "demo_runs"
CELL_S = 300
INSTALL = "pip install 'imagen-nb[lab]' brings it."


def checkout() -> Path | None:
    """The `notebooks/` folder of the checkout this runs from, or None for an installed package."""
    folder = Path(__file__).resolve().parents[2] / "notebooks"
    return folder if (folder / QUICKSTART).is_file() and (folder.parent / "pyproject.toml").is_file() else None


def lab(
    folder: str | None, options: Sequence[str] = (), *, home: str | None = None, provider: str | None = None
) -> int:
    """Open JupyterLab on a folder, and wait for its end. Its notebooks use `home` and `provider`, where given.

    `options` are JupyterLab's own. Raises `InputError` where it is not installed, and where there is no such folder.
    """
    if find_spec("jupyterlab") is None:
        raise InputError("JupyterLab is not installed", INSTALL)
    where = Path(folder) if folder else checkout() or Path.cwd()
    if not where.is_dir():
        raise InputError(f"there is no folder {where}", "Give one that exists, or none.")
    command = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={where.resolve()}", *options]
    process = subprocess.Popen(command, env=_environment(home, provider))  # noqa: S603 - our own Python, and options the user typed
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue  # it came to JupyterLab too, which asks whether it is meant


def demo(output: str | None = None) -> int:
    """Run the quickstart against the simulator, print its log, and say where the notebooks and the report are."""
    import imagen_nb.accessor  # noqa: F401 - gives frames their .imagen
    from imagen_nb.workspace import Workspace

    began = time.monotonic()
    if find_spec("nbclient") is None or find_spec("ipykernel") is None:
        raise InputError("running a notebook needs nbclient and ipykernel", INSTALL)
    folder = _make_output_folder(output)
    sys.stdout.write(f"Running {QUICKSTART} against the simulator ...\n")
    sys.stdout.flush()
    notebook, report = folder / QUICKSTART, folder / "quickstart_report.html"
    execute(_source(QUICKSTART), notebook, folder / RUNS)
    sys.stdout.write("\n")
    show_log(str(folder / RUNS), {"experiment": None, "status": None})
    sys.stdout.write("\n")
    with Workspace(home=folder / RUNS, provider=SIMULATOR) as workspace:
        rows: Any = workspace.frame()
        rows.imagen.report(report)
    here = Path.cwd()
    following = [("next", copy_notebook(each, folder)) for each in (COMPARE, JUDGE)]
    for name, path in (("notebook", notebook), ("report", report), *following):
        shown = path.relative_to(here) if path.is_relative_to(here) else path
        sys.stdout.write(f"{name:<9} {shown}  ({size(path.stat().st_size)})\n")
    sys.stdout.write(f"done in   {seconds(time.monotonic() - began)}\n")
    return 0


def docs(page: str | None = None) -> int:
    """Print a page of the manual, or which pages there are. Raises `InputError` for one that is not there."""
    here = checkout()
    folder = here.parent / "docs" if here else Path(str(files("imagen_nb"))) / "docs"
    texts = {path.stem: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.md"))}
    if page is None:
        lines = [f"{name:<14}{text.splitlines()[0].removeprefix('# ')}" for name, text in texts.items()]
        sys.stdout.write("\n".join([*lines, "", "imagen-nb docs PAGE prints one of them.", ""]))
        return 0
    if page not in texts:
        raise InputError(f"the manual has no page {brief(page)}", f"There are {comma_list(list(texts))}.")
    sys.stdout.write(texts[page])
    return 0


def copy_notebook(name: str, folder: Path) -> Path:
    """The package's notebook of that name in `folder`; one that is there already stays as its user left it."""
    target = folder / name
    if not target.exists():
        shutil.copyfile(_source(name), target)
    return target


def _source(name: str) -> Path:
    """Where the package keeps its notebook of that name."""
    return (checkout() or Path(str(files("imagen_nb"))) / "notebooks") / name


def execute(source: Path, target: Path, home: Path, *, provider: str = SIMULATOR) -> Any:
    """Execute a notebook against `provider` with its log in `home`, write it to `target`, and give it.

    Raises `InputError` with the cell's own error if a cell fails that is not meant to.
    """
    import nbformat
    from jupyter_client.kernelspec import KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    notebook: Any = nbformat.read(source, as_version=4)  # type: ignore[no-untyped-call] # nbformat has no types
    environment = {**_environment(home, provider), "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
    this_python = KernelSpecManager(kernel_dirs=[])
    kernel = AsyncKernelManager(kernel_name="python3", kernel_spec_manager=this_python)
    client = NotebookClient(notebook, timeout=CELL_S, km=kernel, extra_arguments=["--log-level=ERROR"])
    try:
        client.execute(cwd=str(target.parent), env=environment, cleanup_kc=True)
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        lines = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).splitlines()
        last = next((line.strip() for line in reversed(lines) if line.strip()), "no reason given")
        raise InputError(f"{source.name} stopped: {last}", f"It is in {target} so far.") from None
    finally:
        nbformat.write(notebook, target)  # type: ignore[no-untyped-call] # as above
    return notebook


def _environment(home: str | Path | None, provider: str | None) -> dict[str, str]:
    """This process's variables, and the settings that kernels started with them are to find there."""
    variables = dict(os.environ)
    if home:
        variables["IMAGEN_NB_HOME"] = str(Path(home).expanduser().absolute())  # kernels run in their notebooks' folders
    if provider:
        variables["IMAGEN_NB_PROVIDER"] = provider
    return variables


def _make_output_folder(output: str | None) -> Path:
    """The folder for what the demo makes, without the log of an earlier demo in it.

    Raises `InputError` where there can be none, or none to write in.
    """
    home = checkout()
    folder = Path(output) if output else home / "out" if home else Path.cwd() / "imagen_demo"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        reason = "it is a file" if folder.is_file() else error.strerror
        raise InputError(f"the folder {folder} cannot be made: {reason}", "Name another one: --output DIR.") from None
    shutil.rmtree(folder / RUNS, ignore_errors=True)
    return folder.resolve()
