"""The `imagen-nb` command: the same words as the magic, over the same workspace.

Its words, what each command prints and its exit codes live here; what is done lives in the workspace, and never here.
Exit codes: 0 all went well, 1 something ran and failed, 2 it could not be asked for (two lines on stderr say why),
130 interrupted.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from imagen_nb import __version__
from imagen_nb.cli.shell_options import WHERE
from imagen_nb.errors import ImagenError, InputError, in_shell, readable
from imagen_nb.records import STATUS_WORDS

FAILED, REFUSED, INTERRUPTED = 1, 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command for these words (default: the process's own) and give its exit code."""
    # A letter that the encoding lacks becomes `?`, and a closed stream takes it in silence: the image may be paid for
    # by the time it is spoken of, so no letter of its prompt may end the command.
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 - open until the end
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        try:
            code = _run_command(_make_parser().parse_args(argv))
        except SystemExit as ended:  # argparse's way out of --help and --version
            code = int(ended.code or 0)
        except ImagenError as error:
            hint = in_shell(error.hint)
            sys.stderr.write(readable(f"imagen-nb: {error.message}\n" + (f"  {hint}\n" if hint else "")))
            code = REFUSED
        except KeyboardInterrupt:
            sys.stderr.write("imagen-nb: interrupted\n")
            code = INTERRUPTED
        sys.stdout.flush()  # not at the interpreter's end, where nobody could answer for what goes wrong
    except OSError as error:
        try:  # to write out what stdout still holds; else it is forgotten, or the interpreter fails on it as it ends
            sys.stdout.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):  # who reads stdout has gone (`| head`)
            what = "the output cannot be written" if error.filename is None else f"{error.filename} cannot be used"
            hint = "Choose another place for it; what was run is in the log."
            sys.stderr.write(f"imagen-nb: {what}: {error.strerror or error}\n  {hint}\n")
        return FAILED
    return code


def _run_command(given: argparse.Namespace) -> int:  # noqa: PLR0911 - one return a command
    """Each command, with what it needs of the words given; what it needs of the package is imported for it alone."""
    where = {"home": given.home, "provider": given.provider}
    match given.command:
        case "run":
            from imagen_nb.cli.running import run

            return run(given.words, **where)
        case "reconcile":
            from imagen_nb.cli.running import reconcile

            return reconcile(**where, adopt=given.adopt)
        case "log":
            from imagen_nb.cli.logbook import show_log

            files = {given.csv: "csv", given.parquet: "parquet", given.html: "html"}
            files.pop(None, None)
            return show_log(given.home, {"experiment": given.experiment, "status": given.status}, given.last, files)
        case "models":
            from imagen_nb.cli.logbook import show_models

            return show_models(**where)
        case "lab":
            from imagen_nb.cli.notebooks import lab

            words = list(given.words)
            # A word behind an option may be its value: only JupyterLab can tell.
            folder = words.pop(0) if words and not words[0].startswith("-") else None
            return lab(folder, words, **where)
        case "demo":
            from imagen_nb.cli.notebooks import demo

            _refuse_where(given, "it asks the simulator, and its log lies in the folder that --output names.")
            return demo(given.output)
        case "docs":
            from imagen_nb.cli.notebooks import docs

            _refuse_where(given, "it reads no log, and asks nobody.")
            return docs(given.page)
        case "simulator":
            from imagen_nb.cli.running import simulate

            _refuse_where(given, "it answers others, and keeps no log.")
            return simulate(given.port, given.latency, given.seed)
        case _:
            from imagen_nb.cli.doctor import doctor

            return doctor(**where)


def _refuse_where(given: argparse.Namespace, why: str) -> None:
    """Raise `InputError` where `--home` or `--provider` stands before a command that has no use for it."""
    for option in WHERE:
        if getattr(given, option.name) is not None:
            raise InputError(f"{option.long} means nothing to {given.command}", f"Leave it out: {why}")


# -- the words that each command takes ---------------------------------------------------------------------------------


class _Parser(argparse.ArgumentParser):
    """As argparse's own, but a mistake is an `InputError`, and options are never guessed from their first letters.

    `leaves` says which words are left to others: "all" (the magic's own grammar reads them), or "unknown" ones.
    """

    def __init__(self, *, leaves: str = "", **options: Any) -> None:
        super().__init__(allow_abbrev=False, **options)
        self._leaves = leaves

    def error(self, message: str) -> NoReturn:
        made = f"{self.prog} run 'a red fox' makes an image; " if "COMMAND" in message else ""
        raise InputError(message, f"{made}{self.prog} --help shows what can be given.")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        if not self._leaves:
            return super().parse_known_args(args, namespace)
        own, rest = ([], list(args)) if self._leaves == "all" else (args, [])
        namespace, unknown = super().parse_known_args(own, namespace)
        namespace.words = [*rest, *unknown]
        return namespace, []


def _make_parser() -> argparse.ArgumentParser:
    about = "A laboratory for text-to-image prompts: run them, log every one, look at them in Jupyter."
    parser = _Parser(prog="imagen-nb", description=about)
    parser.add_argument("--version", action="version", version=f"imagen-nb {__version__}")
    _add_where(parser, default=None)
    titles = {"title": "commands", "metavar": "COMMAND", "dest": "command"}
    commands = parser.add_subparsers(**titles, required=True, parser_class=_Parser)

    def add(name: str, text: str, **options: Any) -> argparse.ArgumentParser:
        options.setdefault("description", f"{text[0].upper()}{text[1:]}.")
        command: argparse.ArgumentParser = commands.add_parser(name, help=text, **options)
        return command

    add("run", "make images, with the options of %%imagen", leaves="all")
    _add_log_options(add("log", "show the log, or write it to a file"))
    _add_where(add("models", "show what models are known, what they take and what they cost"))

    reconcile = add("reconcile", "settle the rows that a dead process left open")
    _add_where(reconcile)
    text = "make a row of a prediction that is none's, as a run or reconcile named it; repeatable"
    reconcile.add_argument("--adopt", action="append", default=[], metavar="ID", help=text)

    usage = "imagen-nb lab [DIR] [--home DIR] [--provider NAME] [JUPYTERLAB...]"
    about = (
        "Open JupyterLab on the folder DIR (default: notebooks/ of a checkout, else the current one). DIR stands "
        "first; all other words are passed on to JupyterLab. --home and --provider hold for the notebooks."
    )
    text = "open JupyterLab; other options are passed on to it"
    _add_where(add("lab", text, leaves="unknown", usage=usage, description=about))

    demo = add("demo", "run the quickstart notebook against the simulator")
    text = "where to put what it makes (default: imagen_demo, in a checkout notebooks/out)"
    demo.add_argument("--output", metavar="DIR", help=text)

    simulator = add("simulator", "serve the simulator until Ctrl-C")
    simulator.add_argument("--port", type=int, default=0, metavar="P", help="the port (default: a free one)")
    text = "seconds per prediction (default: the model's own)"
    simulator.add_argument("--latency", type=_seconds, metavar="S", help=text)
    text = "what its chances are drawn from (default: 0)"
    simulator.add_argument("--seed", type=int, default=0, metavar="N", help=text)

    docs = add("docs", "print a page of the manual, or what pages there are")
    docs.add_argument("page", nargs="?", metavar="PAGE", help="magic, python, log, ... (default: the list of them)")

    _add_where(add("doctor", "check provider, token, network, home and versions"))
    return parser


def _add_log_options(log: argparse.ArgumentParser) -> None:
    """What chooses rows of the log, and where they are to be written."""
    _add_where(log)
    log.add_argument("-e", "--experiment", metavar="NAME", help="only this experiment's runs")
    text = f"only runs of this status: {', '.join(STATUS_WORDS)}"
    log.add_argument("--status", choices=STATUS_WORDS, metavar="S", help=text)
    log.add_argument("-n", "--last", type=_count, metavar="N", help="only the newest N runs")
    log.add_argument("--csv", metavar="FILE", help="write a CSV file that a spreadsheet can open safely")
    log.add_argument("--parquet", metavar="FILE", help="write a Parquet file, types kept")
    log.add_argument("--html", metavar="FILE", help="write a report with the images, one file that opens offline")


def _add_where(parser: argparse.ArgumentParser, default: Any = argparse.SUPPRESS) -> None:
    """`--home` and `--provider`, before a command or behind it; the one behind counts."""
    for option in WHERE:
        parser.add_argument(option.long, metavar=option.metavar, default=default, help=option.help)


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
