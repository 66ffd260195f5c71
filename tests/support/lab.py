"""JupyterLab in a Chromium, as a person has it before them: a server of its own, one page, a notebook at a time.

The same server has the other front ends too: Notebook 7, nbclassic and Voilà, each at an address of its own.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import chromium
import nbformat
from playwright.sync_api import Browser, ConsoleMessage, Error, Locator, Page, expect, sync_playwright

READY_S = 90.0
CELL_MS = 60_000
SWITCHES = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
HARMLESS = re.compile(
    "favicon|ERR_INTERNET_DISCONNECTED|ERR_NAME_NOT_RESOLVED|ERR_BLOCKED_BY_CLIENT|ResizeObserver loop"
    r"|Canceled future for \w+ message before replies were done|/api/(kernels|sessions|terminals)\b"
    r"|Failed to execute 'removeChild' on 'Node'"
    r"|nbextensions/(voila|widgets)/|@jupyter-notebook/lab-extension"
    r"|^uncaught: Cannot read properties of \w+ \(reading '(kernel|schema)'\)"
    r"|^uncaught: Command 'filebrowser:open-path' not registered"
)
"""Console errors that are not ours: of the browser where there is no Internet, of JupyterLab when a kernel is shut down
or an output goes while its page is still being laid out, and of front ends that look for each other's extensions."""


@dataclass
class Server:
    """A running JupyterLab: where it listens, and the folder whose notebooks it serves."""

    url: str
    root: Path

    def write(self, name: str, cells: Sequence[str]) -> str:
        """Write a notebook in a folder of its own, and give its path on the server."""
        folder = self.root / name
        folder.mkdir()
        nbformat.write(_document(cells), folder / f"{name}.ipynb")
        return f"{name}/{name}.ipynb"


@contextlib.contextmanager
def serving(folder: Path, **variables: str) -> Iterator[Server]:
    """JupyterLab on this machine alone, with no token, no news, and none of the user's settings."""
    root = folder / "notebooks"
    root.mkdir(parents=True)
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    log = (folder / "jupyter.log").open("wb")
    process = subprocess.Popen(
        [*_command(root, port)], env=_environment(folder) | variables, stdout=log, stderr=log, cwd=root
    )
    try:
        _until_it_answers(url, process, folder / "jupyter.log")
        yield Server(url, root)
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
        process.kill()
        process.wait()
        log.close()


def _command(root: Path, port: int) -> list[str]:
    options = {
        "ServerApp.ip": "127.0.0.1",
        "ServerApp.port": port,
        "ServerApp.port_retries": 0,
        "ServerApp.open_browser": False,
        "ServerApp.root_dir": str(root),
        "ServerApp.allow_root": True,
        "ServerApp.disable_check_xsrf": True,
        "IdentityProvider.token": "",
        "LabApp.expose_app_in_browser": True,
        "JupyterNotebookApp.expose_app_in_browser": True,
        "LabApp.check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
        "LabApp.news_url": "",
        "LabApp.extension_manager": "readonly",
    }
    return [sys.executable, "-m", "jupyterlab", *(f"--{name}={value}" for name, value in options.items())]


def _environment(folder: Path) -> dict[str, str]:
    """This process's environment, with every folder that Jupyter and IPython keep things in moved to `folder`."""
    own = {
        "HOME": folder / "user",
        "JUPYTER_CONFIG_DIR": folder / "config",
        "JUPYTER_DATA_DIR": folder / "data",
        "JUPYTER_RUNTIME_DIR": folder / "runtime",
        "JUPYTERLAB_SETTINGS_DIR": folder / "settings",
        "JUPYTERLAB_WORKSPACES_DIR": folder / "workspaces",
        "IPYTHONDIR": folder / "ipython",
    }
    for place in own.values():
        place.mkdir(parents=True, exist_ok=True)
    _keep(folder / "settings", "apputils-extension/notification", {"fetchNews": "false", "checkForUpdates": False})
    _keep(folder / "settings", "docmanager-extension/plugin", {"autosave": False})
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("IMAGEN_NB_", "JPY_", "JUPYTER"))}
    return kept | {name: str(place) for name, place in own.items()} | {"PYDEVD_DISABLE_FILE_VALIDATION": "1"}


def _keep(settings: Path, plugin: str, values: dict[str, Any]) -> None:
    path = settings / "@jupyterlab" / f"{plugin}.jupyterlab-settings"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values), "utf-8")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _until_it_answers(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/api/status", timeout=5):  # noqa: S310 - our own address
            return
        time.sleep(0.1)
    raise RuntimeError(f"JupyterLab did not start:\n{log.read_text(errors='replace')[-4000:]}")


@contextlib.contextmanager
def browsing() -> Iterator[Browser]:
    """A headless Chromium."""
    path = chromium.find()
    if path is None:
        raise RuntimeError(chromium.WHY_NOT)
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=[*SWITCHES, *(["--no-sandbox"] if is_root else [])]
        )
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Lab:
    """One page with JupyterLab in it. `errors` are what the browser's console said was wrong."""

    server: Server
    page: Page
    errors: list[str] = field(default_factory=list)

    @classmethod
    def opened(cls, browser: Browser, server: Server, **options: Any) -> Lab:
        """JupyterLab on a page of its own; `options` are those of Playwright's `new_context`."""
        lab = cls.at(browser, server, "lab?reset", **options)
        lab.ready()
        lab.do("application:toggle-left-area")
        lab.do("application:close-all")
        return lab

    @classmethod
    def at(cls, browser: Browser, server: Server, address: str, **options: Any) -> Lab:
        """A page of its own with what the server has at an address."""
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 1000}, **options})
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        context.set_default_timeout(20_000)
        lab = cls(server, context.new_page())
        lab.page.on("console", lab._heard)
        lab.page.on("pageerror", lab._thrown)
        lab.page.goto(f"{server.url}/{address}")
        return lab

    def ready(self) -> None:
        """Wait until JupyterLab answers to its own commands."""
        self.page.wait_for_function("() => window.jupyterapp?.restored !== undefined", timeout=READY_S * 1000)
        self.page.evaluate("() => window.jupyterapp.restored.then(() => true)")

    def do(self, command: str, **arguments: Any) -> None:
        """One of JupyterLab's commands, as its menus and keys give it."""
        self.page.evaluate(
            "async ([name, options]) => { await window.jupyterapp.commands.execute(name, options); }",
            [command, arguments],
        )

    def theme(self, name: str) -> None:
        """`JupyterLab Dark` or `JupyterLab Light`."""
        self.do("apputils:change-theme", theme=name)
        is_light = str("Light" in name).lower()
        self.page.wait_for_selector(f'body[data-jp-theme-light="{is_light}"]', state="attached")

    def notebook(self, name: str, cells: Sequence[str]) -> Notebook:
        """A new notebook in a folder of its own, open, with its kernel running."""
        return self.open(self.server.write(name, cells))

    def open(self, path: str) -> Notebook:
        """A notebook that is there."""
        self.do("docmanager:open", path=path)
        opened = Notebook(self, path)
        opened.ready()
        return opened

    def read(self, path: str) -> Notebook:
        """A notebook that is there, without a kernel."""
        options = {"path": path, "factory": "Notebook", "kernelPreference": {"shouldStart": False, "canStart": True}}
        self.do("docmanager:open", **options)
        opened = Notebook(self, path)
        opened.panel.locator(".jp-Cell").first.wait_for(timeout=READY_S * 1000)
        expect(self.page.get_by_text("No Kernel", exact=True).first).to_be_visible()
        return opened

    def _thrown(self, error: Error) -> None:
        self._note(f"uncaught: {error}")

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self._note(f"{message.text} ({message.location.get('url', '')})")

    def _note(self, error: str) -> None:
        if not HARMLESS.search(error):
            self.errors.append(error)


def _document(cells: Sequence[str]) -> Any:
    kernel = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
    made = [nbformat.v4.new_code_cell(source) for source in cells]
    return nbformat.v4.new_notebook(cells=made, metadata={"kernelspec": kernel, "language_info": {"name": "python"}})


@dataclass
class Notebook:
    """An open notebook."""

    lab: Lab
    path: str

    @property
    def page(self) -> Page:
        return self.lab.page

    @property
    def folder(self) -> Path:
        return (self.lab.server.root / self.path).parent

    @property
    def panel(self) -> Locator:
        return self.page.locator(".jp-NotebookPanel:visible")

    def ready(self) -> None:
        """Wait until it is on the page and its kernel can be asked."""
        self.panel.locator(".jp-Cell").first.wait_for(timeout=READY_S * 1000)
        self.page.wait_for_function(
            """path => {
              const found = [...window.jupyterapp.shell.widgets('main')].find(one => one.context?.path === path);
              return found?.sessionContext?.session?.kernel?.status === 'idle';
            }""",
            arg=self.path,
            timeout=READY_S * 1000,
        )

    def cell(self, at: int) -> Locator:
        return self.panel.locator(".jp-CodeCell").nth(at)

    def output(self, at: int) -> Locator:
        """Everything a cell shows."""
        return self.cell(at).locator(".jp-OutputArea").first

    def start(self, at: int) -> None:
        """Begin a cell as a person does: click into it, Ctrl+Enter."""
        editor = self.cell(at).locator(".cm-content").first
        editor.scroll_into_view_if_needed()
        editor.click()
        self.page.keyboard.press("Control+Enter")

    def ended(self, at: int, *, timeout: float = CELL_MS) -> Locator:
        """Wait until a cell that was begun has its number, and give its output."""
        prompt = self.cell(at).locator(".jp-InputPrompt")
        expect(prompt).to_have_text(re.compile(r"^\[\d+\]:$"), timeout=timeout)
        return self.output(at)

    def run(self, at: int, *, timeout: float = CELL_MS) -> Locator:
        """Run a cell to its end, and give its output."""
        self.start(at)
        return self.ended(at, timeout=timeout)

    def run_all(self, count: int) -> None:
        for at in range(count):
            self.run(at)

    def interrupt(self) -> None:
        self.lab.do("notebook:interrupt-kernel")

    def save(self) -> Any:
        """Save it, and give what is in the file."""
        self.lab.do("docmanager:save")
        return nbformat.read(self.lab.server.root / self.path, as_version=4)

    def reload(self) -> None:
        """Load the whole page anew, as a person does with F5; what was not saved is gone."""
        self.save()
        self.page.reload()
        self.lab.ready()
        self.ready()

    def close(self) -> None:
        """Shut the kernel down and close the tab."""
        with contextlib.suppress(Error):
            self.save()
            self.lab.do("notebook:shutdown-kernel")
            self.lab.do("application:close-all")


def until(ask: Callable[[], Any], *, timeout: float = 20.0, what: str = "it") -> Any:
    """Ask again and again until the answer is a true one, and give it."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if answer := ask():
            return answer
        time.sleep(0.05)
    raise AssertionError(f"{what} did not happen within {timeout:g} s")


def emptied(folder: Path) -> Path:
    """The folder, with nothing in it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    return folder
