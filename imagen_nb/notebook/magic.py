"""The magics: `%imagen`, `%%imagen`, `%imagen_log`, `%imagen_login`, `%imagen_panel`, and `%config ImagenMagics`.

A magic reads its line, asks the workspace, waits in the main thread and hands back a value: that value is what the cell
shows. `ImagenMagics.imagen` is the way of one cell.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from copy import copy
from inspect import currentframe
from io import StringIO
from itertools import pairwise
from tokenize import NAME
from typing import TYPE_CHECKING, Any, TypeVar

from IPython.core.displayhook import CapturingDisplayHook, DisplayHook
from IPython.core.inputtransformer2 import assemble_continued_line, find_end_of_continued_line, make_tokens_by_line
from IPython.core.magic import Magics, line_cell_magic, line_magic, magics_class, needs_local_scope, no_var_expand
from traitlets import Dict, Float, Int, Unicode

from imagen_nb.errors import InputError, Interrupted, SettingsError, brief, comma_list
from imagen_nb.planning.options import Options, cell_prompt, log_manual, manual, parse_line, parse_log, prompt_notes
from imagen_nb.settings import CONFIRM_ABOVE, JOBS, THUMBNAIL_PX

if TYPE_CHECKING:
    import pandas as pd

    from imagen_nb.planning.plan import Plan
    from imagen_nb.records import Run
    from imagen_nb.sweeps.sweep import Runs
    from imagen_nb.workspace import Workspace

_Result = TypeVar("_Result")
_WORKSPACE_SETTINGS = ("home", "provider", "model", "jobs", "prices", "thumbnail")
_CALL = re.compile(
    # a line that is, or gets its value from, %imagen or another magic (%time) with it in its text
    r"(?P<before>\s*(?:[^=%#]*[^=!<>%#]=\s*)?)%(?P<name>imagen|\w+(?=\s.*%imagen\s))\s(?P<text>.*)",
    re.DOTALL,
)
_CONTINUED = re.compile(r"\\\s*\n")  # nobody sees the spaces behind such a backslash


@magics_class
class ImagenMagics(Magics):
    """Defaults of the magics; a change counts from the next cell on."""

    model = Unicode(None, allow_none=True, help="The model where -m names none; None: google/imagen-4.").tag(
        config=True
    )
    provider = Unicode(
        None, allow_none=True, help="kkiai, replicate, simulator or a base URL; None: the one whose token is found."
    ).tag(config=True)
    home = Unicode(
        None, allow_none=True, help="The folder of the log and the images; None: imagen_runs/ beside the notebook."
    ).tag(config=True)
    jobs = Int(JOBS, min=1, help="Most predictions in flight.").tag(config=True)
    confirm_above = Int(
        CONFIRM_ABOVE, min=0, allow_none=True, help="A plan with more requests than this needs --yes; None: none does."
    ).tag(config=True)
    budget = Float(
        None, allow_none=True, help="US dollars that one cell may spend where --budget says nothing; None: no limit."
    ).tag(config=True)
    prices = Dict(
        key_trait=Unicode(), help="US dollars an image, or a rule, by model name; overrides the list prices."
    ).tag(config=True)
    thumbnail = Int(
        THUMBNAIL_PX,
        min=32,
        max=2048,
        help="The longer side, in pixels, of the picture in the notebook; files stay whole.",
    ).tag(config=True)

    def __init__(self, shell: Any = None, **options: Any) -> None:
        super().__init__(shell, **options)
        self._shell: Any = shell  # `Magics.shell` may be None to a type checker
        self._chosen: Workspace | None = None
        self._chosen_settings: dict[str, Any] = {}
        self._last_first_notice = ""

    @no_var_expand
    @needs_local_scope
    @line_cell_magic
    def imagen(
        self, line: str, cell: str | None = None, *, local_ns: Mapping[str, Any] | None = None
    ) -> Run | Runs | Plan | None:
        options, prompt = read_call(line, cell)
        if options.help:
            print(manual())  # noqa: T201 - the manual is this cell's output
            return None
        try:
            # what was asked for: any mistake ends the cell here, before anything is sent
            workspace = self.workspace()
            variables = slot_variables(self._shell, local_ns, is_cell=cell is not None)
            keywords = options.plan_keywords(prompt, workspace.spec)
            plan = workspace.plan([prompt], namespace=variables, **keywords)
            workspace.notices += prompt_notes(prompt, is_raw=options.raw)
            self.print_notices(workspace)
            left = workspace.remaining(plan, options.experiment) if options.resume else plan
            if options.dry_run:
                if left is not plan and not options.quiet:
                    from imagen_nb.views.plans import resume_note

                    print(resume_note(plan, left))  # noqa: T201 - a line of the cell's output
                return self._hand_back(plan, options)
            left.confirm(self.confirm_above, options.yes)
            # from here on it may cost money
            runs = workspace.submit(plan, **{**options.run_keywords(), "budget": options.budget or self.budget})
            return self._hand_back(runs, options) if options.background else self._wait(runs, len(plan), options)
        except Interrupted:
            raise
        except KeyboardInterrupt:
            raise Interrupted("while the cell began", "%imagen_log shows whether anything was sent.") from None

    def _wait(self, runs: Runs, count: int, options: Options) -> Run | Runs:
        """Show how far it is until it ends, and hand it back; a single run for a single request.

        Raises `Interrupted`, and what stopped the sweep; the variable of -o has the runs then too.
        """
        from imagen_nb.notebook.live import LiveView, act_despite_interrupts, cancel_interrupted, choose_output, watch

        view = None
        try:
            view = LiveView(runs, None if options.quiet else choose_output(self._shell))
            watch(runs, view)
            if count == 1 and (strays := runs.progress().strays):  # the display of several says it itself
                print(f"{strays}.")  # noqa: T201 - a line of the cell's output
            result = runs.only() if count == 1 and len(runs) == 1 else runs
            if not options.quiet and (hook := result_hook(self._shell)):
                hook.call_before(result, view.leave_nothing)
            return self._hand_back(result, options)
        except KeyboardInterrupt as error:  # also before the view began, or after it ended
            interrupted = error if isinstance(error, Interrupted) else cancel_interrupted(runs, view)
            act_despite_interrupts(lambda: self._bind(runs, options))
            raise interrupted from None
        except Exception:
            self._bind(runs, options)
            raise

    def _hand_back(self, result: _Result, options: Options) -> _Result:
        """The result, bound to the variable of -o; with --quiet this cell does not show it."""
        self._bind(result, options)
        if options.quiet and (hook := result_hook(self._shell)):
            hook.silence(result)
        return result

    def _bind(self, result: Any, options: Options) -> None:
        if options.output:
            self._shell.push({options.output: result})

    @no_var_expand
    @line_magic
    def imagen_log(self, line: str) -> pd.DataFrame | None:
        filters = parse_log(line)
        if filters.pop("help", False):
            print(log_manual())  # noqa: T201 - the manual is this cell's output
            return None
        workspace = self.workspace()
        frame = workspace.frame(**filters)
        self.print_notices(workspace)
        return frame

    @no_var_expand
    @line_magic
    def imagen_login(self, line: str) -> None:
        """Ask for a provider's token; it stays in this kernel's memory and is never shown.

        %imagen_login [PROVIDER]    kkiai, replicate or a base URL; default: the one in the settings
        """
        import getpass

        from imagen_nb.settings import KNOWN_PROVIDERS, SIMULATOR, login_provider
        from imagen_nb.shared import login

        named = line.strip() or (self.provider if self.provider != SIMULATOR else None) or login_provider()
        if named not in KNOWN_PROVIDERS and "://" not in named:
            raise InputError(
                f"{brief(named)} is no provider that takes a token",
                f"Choose one of {comma_list(list(KNOWN_PROVIDERS))}, or give a base URL.",
            )
        try:
            # looked up now and not at import: a kernel puts its own in its place while a cell runs
            token = getpass.getpass(f"Token for {named} (not shown): ")
        except KeyboardInterrupt:
            raise Interrupted("no token was given") from None
        except Exception:  # noqa: BLE001 - every front end has its own way of saying that it cannot ask
            raise SettingsError(
                "a token cannot be asked for here", "Set the provider's token variable before the kernel starts."
            ) from None
        name = login(named, token)
        print(f"The token for {name} is kept in memory until the kernel ends.")  # noqa: T201 - this cell's output

    @no_var_expand
    @line_magic
    def imagen_panel(self, line: str) -> Any:
        """The panel: a form made from the model's schema, what runs, and the history."""
        if line.strip():
            raise InputError(f"%imagen_panel takes nothing, and {brief(line.strip())} was given")
        from imagen_nb.notebook.panel import panel

        return panel(self.workspace, **self.limits)

    # -- the workspace -------------------------------------------------------------------------------------------

    def workspace(self) -> Workspace:
        """The notebook's workspace. Raises `SettingsError`."""
        from imagen_nb.shared import default_workspace

        return default_workspace()

    def choose_workspace(self, current: Workspace | None) -> Workspace:
        """The current workspace where it is what the settings here and the environment ask for, else a new one.

        Raises `SettingsError`.
        """
        from imagen_nb.shared import renew

        values = {name: copy(getattr(self, name)) for name in _WORKSPACE_SETTINGS}
        wanted = {name: value for name, value in values.items() if value != self.trait_defaults(name)}
        is_right = wanted == self._chosen_settings and (not wanted or current is self._chosen)
        self._chosen = renew(current if is_right else None, **wanted)
        self._chosen_settings = wanted
        return self._chosen

    @property
    def limits(self) -> dict[str, Any]:
        """What a panel may send without a tick, and spend with one press, by the names of its options."""
        return {"confirm_above": self.confirm_above, "budget": self.budget}

    def print_notices(self, workspace: Workspace) -> None:
        """Print the notices not printed yet; the one that workspaces begin with comes once for several of them."""
        while workspace.notices:
            notice = workspace.notices.pop(0)
            if notice != self._last_first_notice:
                print(notice)  # noqa: T201 - a notice is a line of the cell's output
            if notice == workspace.settings.notice:
                self._last_first_notice = notice


ImagenMagics.imagen.__doc__ = manual()
ImagenMagics.imagen_log.__doc__ = log_manual()


def read_call(line: str, cell: str | None) -> tuple[Options, str]:
    """The options and the prompt of `%imagen` (without `cell`) or `%%imagen`; --help needs no prompt.

    Raises `InputError` for a mistake in the options, an empty prompt, and text beside the options of a cell.
    """
    if cell is None and line.strip() in ("?", "??"):
        return Options(help=True), ""
    options, prompt = parse_line(line)
    if options.help:
        return options, ""
    hint = "Write %imagen a red fox in snow; %imagen? is the manual."
    if cell is not None:
        if prompt:
            raise InputError(
                f"the first line of %%imagen holds options only, and {brief(prompt)} is none",
                "The prompt begins on the second line; %imagen with one % takes it on its own line.",
            )
        prompt = cell_prompt(cell)
        hint = "Write it below the line with %%imagen."
    if not prompt.strip():
        raise InputError("the prompt is empty", hint)
    return options, prompt


def slot_variables(shell: Any, local: Mapping[str, Any] | None, *, is_cell: bool = False) -> dict[str, Any]:
    """What a slot may name: the notebook's own variables, not IPython's, and those of the function one is in.

    IPython hands those to a line magic. A cell magic gets the notebook's alone, and has to look who called it.
    """
    if is_cell:
        frame = currentframe()
        while frame is not None and frame.f_code is not type(shell).run_cell_magic.__code__:
            frame = frame.f_back
        local = frame.f_back.f_locals if frame is not None and frame.f_back is not None else local
    hidden, nothing = shell.user_ns_hidden, object()
    own = {name: value for name, value in shell.user_ns.items() if value is not hidden.get(name, nothing)}
    return own if local is None or local is shell.user_ns else {**own, **local}


def keep_prompts_whole(lines: list[str]) -> list[str]:
    """The lines of a cell, with every `%imagen` line written as a call that has all of it.

    IPython ends a line where nobody sees an end (U+2028, U+0085, a form feed), takes any line that ends in a question
    mark for a request for help, and lets an open bracket or quote reach into the lines below. A prompt may have them
    all. Lines inside a string or a cell magic are left alone.
    """
    first = next((line for line in lines if line.strip()), "")
    if first.startswith("%%"):
        return list(StringIO("".join(lines), newline="")) if re.match(r"%%imagen\s", first) else lines
    seen = list(StringIO("".join(lines), newline=None))  # the lines as a person and Python count them
    is_changed = False
    row = 0
    while row < len(seen):
        found = _CALL.match(seen[row])
        if found is not None and _is_magic(seen, row, found.end("before")):
            rest = [_CONTINUED.sub("\\\\\n", line) for line in seen[row:]]
            last = find_end_of_continued_line(rest, 0)
            text = assemble_continued_line(rest, (0, found.start("text")), last).strip()
            call = f"get_ipython().run_line_magic({found['name']!r}, {text!r})"
            seen[row : row + last + 1] = [f"{found['before']}{call}\n"]
            is_changed = True
        row += 1
    return "".join(seen).splitlines(keepends=True) if is_changed else lines


def _is_magic(lines: list[str], row: int, column: int) -> bool:
    """Whether the percent sign there is one of a magic, and not within a string."""
    tokens = [token for line in make_tokens_by_line(lines) for token in line]
    return any(mark.start == (row + 1, column) and name.type == NAME for mark, name in pairwise(tokens))


class ResultHook:
    """What a cell shows of a magic's result, decided where IPython decides it: in the display hook.

    A magic cannot know whether its value will be shown (`%imagen …` alone) or kept (`r = %imagen …`). The hook can: it
    is called with the value or it is not. So for the rest of the cell IPython's hook is wrapped; IPython puts its own
    back when the cell ends.
    """

    def __init__(self, shell: Any, hook: Callable[[Any], None]) -> None:
        self._shell = shell
        self._hook = hook
        self._silent: list[Any] = []
        self._before: list[tuple[Any, Callable[[], None]]] = []

    def silence(self, value: Any) -> None:
        """Keep this value out of the output; `_` and `Out` still get it."""
        self._silent.append(value)

    def call_before(self, value: Any, action: Callable[[], None]) -> None:
        """Call `action` just before this value is shown, if it is."""
        self._before.append((value, action))

    def __call__(self, value: Any = None) -> None:
        if any(value is each for each in self._silent):  # all that IPython's hook does, but for showing it
            displayhook = self._shell.displayhook
            displayhook.check_for_underscore()
            displayhook.update_user_ns(value)
            displayhook.fill_exec_result(value)
            return
        for each, action in self._before:
            if value is each:
                action()
        self._hook(value)


def result_hook(shell: Any) -> ResultHook | None:
    """The hook in force for the rest of this cell; None outside of a cell, where nothing is displayed."""
    current = sys.displayhook
    if isinstance(current, ResultHook):
        return current
    if not isinstance(current, DisplayHook | CapturingDisplayHook):
        return None
    hook = ResultHook(shell, current)
    sys.displayhook = hook
    return hook
