"""The same promises at full size, for a machine that has half an hour: `python tests/faults/soak.py [PART…]`.

Parts are `money`, `clients`, `kills`, `neighbours` and `machine`; without any, all of them run. It prints the figures,
and fails with a traceback where a promise does not hold.
"""

# ruff: noqa: E402 - it is a script, and has to say first where the parts of the tests are
from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1] / "support"), str(Path(__file__).parent)]

import money
import neighbours
from crash import EXPERIMENT, SETTLE_S, planned, sweeping
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test
from ledger import books, until
from origin import Origin
from test_ledger_machine import LedgerMachine

from imagen_nb.workspace import Workspace

WANTED = 400


def money_part(folder: Path, _: argparse.Namespace) -> None:
    """400 wanted, 8 % of creates dropped before and 8 % after processing, a list that lags 2 s."""
    for number in range(3):
        score = money.ours(folder / str(number), WANTED, jobs=16)
        print(score)
        assert (score.bills, score.images) == (WANTED, WANTED)


def clients_part(_folder: Path, _: argparse.Namespace) -> None:
    """The official client under the same bad luck."""
    for tries in (1, 5):
        print(money.official_score(WANTED, tries=tries))


def kills_part(folder: Path, options: argparse.Namespace) -> None:
    """SIGKILL at random points of sweeps whose creates are now and then dropped as well."""
    moments = random.Random(options.seed)  # noqa: S311 - the same moments each time
    killed = wanted = bills = images = 0
    while killed < options.kills:
        home = folder / str(killed)
        with Origin(latency=0.3, seed=killed, token=money.TOKEN, list_lag=0.3) as api:
            money.drop_creates(api, 0.03)
            killed += sum(_killed(home, api, moments) for _ in range(min(5, options.kills - killed)))
            with Workspace(home, provider=api.base_url, token=money.TOKEN, settle_s=SETTLE_S) as workspace:
                workspace.run(planned(workspace, 100), experiment=EXPERIMENT, resume=True)
            now = books(home, api)
            now.balance(100)
            wanted, bills, images = wanted + 100, bills + len(now.bills), images + now.images
    print(f"SIGKILL x {killed}: {wanted} wanted, {bills} billed, {images} images")


def _killed(home: Path, api: Origin, moments: random.Random) -> bool:
    """Whether a process could be killed while it was at work."""
    before = len(api.seen)
    with sweeping(home, api.base_url, 100, jobs=8, token=money.TOKEN) as process:
        until(lambda: len(api.seen) > before or process.poll() is not None)
        time.sleep(moments.random() * 0.8)
        return process.poll() is None


def neighbours_part(folder: Path, options: argparse.Namespace) -> None:
    """Four processes that sweep, read, rate and reconcile in one home."""
    with Origin(latency=0.05) as api:
        processes = neighbours.at_work(folder, api.base_url, options.minutes * 60)
        said = [process.communicate(timeout=options.minutes * 60 + 300)[0] for process in processes]
        assert [process.returncode for process in processes] == [0] * 4
        books(folder, api).balance(sum(map(int, said)))
    print(f"four processes for {options.minutes:g} minutes: {sum(map(int, said))} runs, 0 errors, integrity check ok")


def machine_part(_folder: Path, options: argparse.Namespace) -> None:
    """Submit, crash, restart, resume and reconcile in any order."""
    many = settings(
        max_examples=options.examples,
        stateful_step_count=12,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(LedgerMachine, settings=many)  # type: ignore[no-untyped-call] # no types
    print(f"{options.examples} histories of up to 12 steps: the bill is the log in each")


PARTS: dict[str, Callable[[Path, argparse.Namespace], None]] = {
    "money": money_part,
    "clients": clients_part,
    "kills": kills_part,
    "neighbours": neighbours_part,
    "machine": machine_part,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--examples", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    for name in options.parts or PARTS:
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix=f"soak-{name}-") as folder:
            PARTS[name](Path(folder) / "home", options)
        print(f"-- {name}: {time.monotonic() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
