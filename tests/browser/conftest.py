"""One JupyterLab, one Chromium and one page for all browser tests; a notebook of its own for each."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import chromium
import pytest
from lab import Lab, Notebook, Server, browsing, emptied, serving
from playwright.sync_api import Browser, expect

from imagen_nb.simulator import Simulator

LATENCY_S = 0.6
EXPECT_MS = 20_000
"""How long `expect` waits where a test says nothing: what a busy machine takes, not what a quiet one does."""

SHOTS = Path(__file__).parents[2] / "artifacts" / "browser"

expect.set_options(timeout=EXPECT_MS)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.xdist_group("browser"))  # one JupyterLab is enough to start


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Take a picture of what a failing test saw, before anything is put away."""
    outcome = yield
    lab = getattr(item, "funcargs", {}).get("lab")
    report = outcome.get_result()
    if report.failed and report.when == "call" and isinstance(lab, Lab):
        lab.page.screenshot(path=SHOTS / f"failed-{item.name}.png")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if chromium.find() is None:
        if os.environ.get("CI") == "true":
            pytest.fail(chromium.WHY_NOT)
        pytest.skip(chromium.WHY_NOT)
    with browsing() as running:
        yield running


@pytest.fixture(scope="session")
def service() -> Iterator[Simulator]:
    """What every kernel takes for its provider: a simulator in this process, so that its bill can be read."""
    with Simulator(latency=LATENCY_S) as running:
        yield running


@pytest.fixture(scope="session")
def server(browser: Browser, service: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """JupyterLab, started only where there is a browser to look at it."""
    assert browser.is_connected()
    with serving(tmp_path_factory.mktemp("lab") / "server", IMAGEN_NB_PROVIDER=service.base_url) as running:
        yield running


@pytest.fixture(scope="session")
def shots() -> Path:
    """Where screenshots are kept."""
    return emptied(SHOTS / os.environ.get("PYTEST_XDIST_WORKER", "one"))  # several processes have browsers of their own


@pytest.fixture(scope="session")
def shared_lab(browser: Browser, server: Server) -> Iterator[Lab]:
    opened = Lab.opened(browser, server)
    yield opened
    opened.page.context.close()


@pytest.fixture
def lab(shared_lab: Lab) -> Iterator[Lab]:
    """The page; a test fails when the browser's console had an error meanwhile."""
    shared_lab.errors.clear()
    yield shared_lab
    assert not shared_lab.errors, shared_lab.errors


@pytest.fixture
def notebook(lab: Lab, request: pytest.FixtureRequest) -> Iterator[Callable[..., Notebook]]:
    """Opens a notebook with these cells; its kernel ends with the test."""
    opened: list[Notebook] = []

    def open_one(*cells: str) -> Notebook:
        name = re.sub(r"\W+", "-", request.node.name).strip("-")
        opened.append(lab.notebook(f"{name}-{len(opened)}" if opened else name, cells))
        return opened[-1]

    yield open_one
    errors = list(lab.errors)
    for each in opened:
        each.close()
    lab.errors[:] = errors  # what JupyterLab says while it shuts a kernel down is its own affair


@pytest.fixture
def shot(lab: Lab, shots: Path) -> Callable[..., Any]:
    """Takes a picture of the page, or of a part of it, to be looked at."""

    def take(name: str, of: Any = None) -> None:
        (of or lab.page).screenshot(path=shots / f"{name}.png")

    return take
