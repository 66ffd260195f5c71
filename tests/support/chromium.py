"""Which Chromium the browser tests drive: the system's, else Playwright's, which `--get` fetches when it is needed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

SYSTEM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MAC_CHROME = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")
WHY_NOT = "no Chromium: neither the system's nor Playwright's (python -m playwright install chromium)"


def find() -> str | None:
    """The path of a Chromium, or None."""
    found = next(filter(None, map(shutil.which, SYSTEM_NAMES)), None)
    return found or (str(MAC_CHROME) if MAC_CHROME.exists() else _playwrights())


def _playwrights() -> str | None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


def get() -> str | None:
    """The path of a Chromium, fetched by Playwright where there is none yet; None where that fails."""
    found = find()
    if found is None:
        say("No Chromium found: fetching Playwright's ...")
        subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], capture_output=True, check=False)
        found = find()
    return found


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> int:
    found = get() if "--get" in sys.argv[1:] else find()
    is_required = os.environ.get("CI") == "true"
    if found is None:
        say(f"{WHY_NOT}; {'under CI=true that is a failure' if is_required else 'the browser tests will be skipped'}.")
    return int(found is None and is_required)


if __name__ == "__main__":
    sys.exit(main())
