"""The `imagen-nb` command: the same words as the magic, over the same workspace.

Exit codes: 0 all went well, 1 something ran and failed, 2 it could not be asked for (two lines on stderr say why),
130 interrupted.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from imagen_nb import __version__
from imagen_nb.cli import running as streams
from imagen_nb.cli.running import WHERE, in_shell
from imagen_nb.errors import ImagenError, InputError
from imagen_nb.records import Status

FAILED, REFUSED, INTERRUPTED = 1, 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command for these words (default: the process's own) and give its exit code."""
    streams.prepare()
    try:
        code = _carried_out(argv)
        sys.stdout.flush()  # not at the interpreter's end, where nobody could answer for what goes wrong
    except OSError as error:
        streams.say_refused(error)
        return FAILED
    return code


def _carried_out(argv: Sequence[str] | None) -> int:
    try:
        arguments = _parser().parse_args(argv)
        return int(arguments.command(arguments))
    except SystemExit as ended:  # argparse's way out of --help and --version
        return int(ended.code or 0)
    except ImagenError as error:
        streams.say(error.message, in_shell(error.hint))
        return REFUSED
    except KeyboardInterrupt:
        sys.stderr.write("imagen-nb: interrupted\n")
        return INTERRUPTED


class _Parser(argparse.ArgumentParser):
    """As argparse's own, but a mistake is an `InputError`, and options are never guessed from their first letters.

    `leaves` says which words are left to others: "all" (the magic's own grammar reads them), or "unknown" ones.
    """

    def __init__(self, *, leaves: str = "", **options: Any) -> None:
        super().__init__(allow_abbrev=False, **options)
        self._leaves = leaves

    def error(self, message: str) -> NoReturn:
        raise InputError(message, f"{self.prog} --help shows what can be given.")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        if not self._leaves:
            return super().parse_known_args(args, namespace)
        own, rest = ([], list(args)) if self._leaves == "all" else (args, [])
        namespace, unknown = super().parse_known_args(own, namespace)
        namespace.words = [*rest, *unknown]
        return namespace, []


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="imagen-nb",
        description="A laboratory for text-to-image prompts: run them, log every one, look at them in Jupyter.",
    )
    parser.add_argument("--version", action="version", version=f"imagen-nb {__version__}")
    _add_where(parser, default=None)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=_Parser)
    _add(commands, "run", "make images, with the options of %%imagen", _run, leaves="all")
    _add_log(commands)
    _add_where(_add(commands, "reconcile", "settle the rows that a dead process left open", _reconcile))
    _add_notebooks(commands)
    _add_simulator(commands)
    _add_where(_add(commands, "doctor", "check provider, token, network, home and versions", _doctor))
    return parser


def _add(commands: Any, name: str, text: str, command: Callable[[Any], int], **options: Any) -> argparse.ArgumentParser:
    options.setdefault("description", f"{text[0].upper()}{text[1:]}.")
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, **options)
    parser.set_defaults(command=command)
    return parser


def _add_where(parser: argparse.ArgumentParser, default: Any = argparse.SUPPRESS) -> None:
    """`--home` and `--provider`, before a command or behind it; the one behind counts."""
    for option in WHERE:
        parser.add_argument(option.long, metavar=option.metavar, default=default, help=option.help)


def _refuse_where(arguments: Any, command: str, why: str) -> None:
    """Raise `InputError` where `--home` or `--provider` stands before a command that has no use for it."""
    for option in WHERE:
        if getattr(arguments, option.name) is not None:
            raise InputError(f"{option.long} means nothing to {command}", f"Leave it out: {why}")


def _add_log(commands: Any) -> None:
    parser = _add(commands, "log", "show the log, or write it to a file", _log)
    _add_where(parser)
    statuses = [str(each) for each in Status]
    parser.add_argument("-e", "--experiment", metavar="NAME", help="only this experiment's runs")
    parser.add_argument(
        "--status", choices=statuses, metavar="S", help=f"only runs of this status: {', '.join(statuses)}"
    )
    parser.add_argument("-n", "--last", type=_count, metavar="N", help="only the newest N runs")
    parser.add_argument("--csv", metavar="FILE", help="write a CSV file that a spreadsheet can open safely")
    parser.add_argument("--parquet", metavar="FILE", help="write a Parquet file, types kept")
    parser.add_argument("--html", metavar="FILE", help="write a report with the images, one file that opens offline")


def _add_notebooks(commands: Any) -> None:
    _add_where(
        _add(
            commands,
            "lab",
            "open JupyterLab; other options are passed on to it",
            _lab,
            leaves="unknown",
            usage="imagen-nb lab [DIR] [--home DIR] [--provider NAME] [JUPYTERLAB...]",
            description="Open JupyterLab on the folder DIR (default: notebooks/ of a checkout, else the current one). "
            "DIR stands first; all other words are passed on to JupyterLab. "
            "--home and --provider hold for the notebooks.",
        )
    )
    parser = _add(commands, "demo", "run the quickstart notebook against the simulator", _demo)
    parser.add_argument(
        "--output", metavar="DIR", help="where to put what it makes (default: imagen_demo, in a checkout notebooks/out)"
    )


def _add_simulator(commands: Any) -> None:
    parser = _add(commands, "simulator", "serve the simulator until Ctrl-C", _simulator)
    parser.add_argument("--port", type=int, default=0, metavar="P", help="the port (default: a free one)")
    parser.add_argument(
        "--latency", type=_seconds, metavar="S", help="seconds per prediction (default: the model's own)"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="what its chances are drawn from (default: 0)")


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return int(text)


def _seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return number


# -- the commands; each imports what it needs --------------------------------------------------------------------------


def _run(arguments: Any) -> int:
    from imagen_nb.cli.running import run

    return run(arguments.words, home=arguments.home, provider=arguments.provider)


def _reconcile(arguments: Any) -> int:
    from imagen_nb.cli.running import reconcile

    return reconcile(home=arguments.home, provider=arguments.provider)


def _log(arguments: Any) -> int:
    from imagen_nb.cli.logbook import show_log

    files = {arguments.csv: "csv", arguments.parquet: "parquet", arguments.html: "html"}
    files.pop(None, None)
    filters = {"experiment": arguments.experiment, "status": arguments.status}
    return show_log(arguments.home, filters, arguments.last, files)


def _lab(arguments: Any) -> int:
    from imagen_nb.cli.notebooks import lab

    words = list(arguments.words)
    # A word behind an option may be its value: only JupyterLab can tell.
    folder = words.pop(0) if words and not words[0].startswith("-") else None
    return lab(folder, words, home=arguments.home, provider=arguments.provider)


def _demo(arguments: Any) -> int:
    from imagen_nb.cli.notebooks import demo

    _refuse_where(arguments, "demo", "it asks the simulator, and its log lies in the folder that --output names.")
    return demo(arguments.output)


def _simulator(arguments: Any) -> int:
    from imagen_nb.simulator import serve

    _refuse_where(arguments, "simulator", "it answers others, and keeps no log.")
    sys.stderr.write("The simulator's base URL is below: imagen-nb --provider URL run ... uses it; Ctrl-C ends it.\n")
    try:
        serve(arguments.port, arguments.latency, seed=arguments.seed)
    except (OSError, OverflowError) as error:
        hint = "Choose another one, or 0 for a free one."
        raise InputError(f"port {arguments.port} cannot be used: {error}", hint) from None
    return 0


def _doctor(arguments: Any) -> int:
    from imagen_nb.cli.doctor import doctor

    return doctor(home=arguments.home, provider=arguments.provider)
