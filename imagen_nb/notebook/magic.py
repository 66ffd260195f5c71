"""The magics: `%imagen`, `%%imagen`, `%imagen_log`, `%imagen_login`, `%imagen_panel`, and `%config ImagenMagics`.

A magic parses, asks the workspace, waits in the main thread and hands back a value: that value is what the cell shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from typing import TYPE_CHECKING, Any, TypeVar

from IPython.core.magic import Magics, line_cell_magic, line_magic, magics_class, needs_local_scope, no_var_expand
from traitlets import Dict, Float, Int, Unicode

from imagen_nb.core.options import Options, log_manual, manual, parse_log
from imagen_nb.core.words import listed, shortened
from imagen_nb.errors import InputError, Interrupted, SettingsError
from imagen_nb.notebook.arguments import asked
from imagen_nb.notebook.display import result_hook

if TYPE_CHECKING:
    import pandas as pd

    from imagen_nb.core.plan import Plan
    from imagen_nb.core.records import Run
    from imagen_nb.runs import Runs
    from imagen_nb.view import Thumb
    from imagen_nb.workspace import Workspace

_Result = TypeVar("_Result")
_WORKSPACE_SETTINGS = ("home", "provider", "model", "jobs", "prices", "thumbnail")


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
    jobs = Int(16, min=1, help="Most predictions in flight.").tag(config=True)
    confirm_above = Int(
        20, min=0, allow_none=True, help="A plan with more requests than this needs --yes; None: none does."
    ).tag(config=True)
    budget = Float(
        None, allow_none=True, help="US dollars that one cell may spend where --budget says nothing; None: no limit."
    ).tag(config=True)
    prices = Dict(
        value_trait=Float(), key_trait=Unicode(), help="US dollars an image by model name; overrides the list prices."
    ).tag(config=True)
    thumbnail = Int(
        512, min=32, max=2048, help="The longer side, in pixels, of the picture in the notebook; files stay whole."
    ).tag(config=True)

    def __init__(self, shell: Any = None, **options: Any) -> None:
        super().__init__(shell, **options)
        self._opened: Workspace | None = None
        self._opened_with: dict[str, Any] = {}
        self._told = ""

    @property
    def _shell(self) -> Any:
        return self.shell

    # -- the workspace -------------------------------------------------------------------------------------------

    def workspace(self) -> Workspace:
        """The notebook's workspace. Raises `SettingsError`."""
        from imagen_nb.default import default_workspace

        return default_workspace()

    def opened(self, current: Workspace | None) -> Workspace:
        """The current workspace where it is what the settings here ask for, else a new one. Raises `SettingsError`."""
        from imagen_nb.workspace import Workspace

        values = {name: copy(getattr(self, name)) for name in _WORKSPACE_SETTINGS}
        wanted = {name: value for name, value in values.items() if value != self.trait_defaults(name)}
        is_right = wanted == self._opened_with and (not wanted or current is self._opened)
        if current is not None and is_right:
            return current
        self._opened = Workspace(**wanted)
        self._opened_with = wanted
        return self._opened

    @property
    def limits(self) -> dict[str, Any]:
        """What a panel may send without a tick, and spend with one press, by the names of its options."""
        return {"confirm_above": self.confirm_above, "budget": self.budget}

    def live_thumb(self) -> Thumb:
        """Thumbnails for live views."""
        from imagen_nb.notebook.live import THUMBNAIL_PX

        return self.workspace().displays.thumb(THUMBNAIL_PX)

    def _tell(self, workspace: Workspace) -> None:
        """Print the notices that were not printed yet; what a workspace begins with comes but once for several."""
        while workspace.notices:
            notice = workspace.notices.pop(0)
            if notice != self._told:
                print(notice)  # noqa: T201 - a notice is a line of the cell's output
            if notice == workspace.settings.notice:
                self._told = notice

    # -- the magics ----------------------------------------------------------------------------------------------

    @no_var_expand
    @needs_local_scope
    @line_cell_magic
    def imagen(
        self, line: str, cell: str | None = None, *, local_ns: Mapping[str, Any] | None = None
    ) -> Run | Runs | Plan | None:
        options, prompt = asked(line, cell)
        if options.help:
            print(manual())  # noqa: T201 - the manual is this cell's output
            return None
        try:
            return self._bind(options, self._result(options, prompt, local_ns))
        except Interrupted as error:
            from imagen_nb.notebook.live import to_the_end

            runs = error.runs
            to_the_end(lambda: self._bind(options, runs))
            raise
        except KeyboardInterrupt:
            raise Interrupted("while the cell began", "%imagen_log shows whether anything was sent.") from None

    @no_var_expand
    @line_magic
    def imagen_log(self, line: str) -> pd.DataFrame | None:
        asked_for = parse_log(line)
        if asked_for.pop("help", False):
            print(log_manual())  # noqa: T201 - the manual is this cell's output
            return None
        last = asked_for.pop("last", None)
        workspace = self.workspace()
        frame = workspace.frame(**asked_for)
        self._tell(workspace)
        return frame if last is None else frame.tail(last)

    @no_var_expand
    @line_magic
    def imagen_login(self, line: str) -> None:
        """Ask for a provider's token; it stays in this kernel's memory and is never shown.

        %imagen_login [PROVIDER]    kkiai, replicate or a base URL; default: the one in the settings
        """
        from imagen_nb.default import login
        from imagen_nb.settings import KNOWN_PROVIDERS, SIMULATOR, login_provider

        named = line.strip() or (self.provider if self.provider != SIMULATOR else None) or login_provider()
        if named not in KNOWN_PROVIDERS and "://" not in named:
            raise InputError(
                f"{shortened(named)} is no provider that takes a token",
                f"Choose one of {listed(list(KNOWN_PROVIDERS))}, or give a base URL.",
            )
        name = login(named, _secret(f"Token for {named} (not shown): "))
        print(f"The token for {name} is kept in memory until the kernel ends.")  # noqa: T201 - this cell's output

    @no_var_expand
    @line_magic
    def imagen_panel(self, line: str) -> Any:
        """The panel: a form made from the model's schema, what runs, and the history."""
        if line.strip():
            raise InputError(f"%imagen_panel takes nothing, and {shortened(line.strip())} was given")
        from imagen_nb.notebook.panel import panel

        return panel(self.workspace, **self.limits)

    # -- one cell ------------------------------------------------------------------------------------------------

    def _result(self, options: Options, prompt: str, local: Mapping[str, Any] | None) -> Run | Runs | Plan:
        """What the cell asked for: a plan to look at, or runs."""
        workspace = self.workspace()
        keywords = options.plan_keywords(prompt, workspace.spec)
        plan = workspace.plan([prompt], namespace=_variables(self._shell, local), **keywords)
        self._tell(workspace)
        left = workspace.remaining(plan, options.experiment) if options.resume else plan
        if options.dry_run:
            if left is not plan and not options.quiet:
                from imagen_nb.view.plans import resumed

                print(resumed(plan, left))  # noqa: T201 - a line of the cell's output
            return self._shown(plan, options)
        left.confirm(self.confirm_above, options.yes)
        runs = workspace.submit(plan, **{**options.run_keywords(), "budget": options.budget or self.budget})
        if options.background:
            return self._shown(runs, options)
        return self._waited(runs, len(plan), options, workspace)

    def _waited(self, runs: Runs, count: int, options: Options, workspace: Workspace) -> Run | Runs:
        """The result when it is there: one run for one request. Raises `Interrupted`, with the runs, from here on."""
        from imagen_nb.notebook.live import THUMBNAIL_PX, LiveView, interrupted, watch
        from imagen_nb.notebook.surfaces import NoSurface, surface

        view = None
        try:
            on = NoSurface() if options.quiet else surface(self.shell)
            view = LiveView(runs, workspace.displays.thumb(THUMBNAIL_PX), on)
            watch(runs, view)
            result = runs.only() if count == 1 and len(runs) == 1 else runs
            if not options.quiet and (hook := result_hook(self._shell)):
                hook.before(result, view.clear)
            return self._shown(result, options)
        except Interrupted:
            raise
        except KeyboardInterrupt:  # before the view began, or after it ended
            raise interrupted(runs, view) from None
        except Exception:
            self._bind(options, runs)
            raise

    def _shown(self, result: _Result, options: Options) -> _Result:
        """The result; with --quiet this cell does not show it."""
        if options.quiet and (hook := result_hook(self._shell)):
            hook.silence(result)
        return result

    def _bind(self, options: Options, result: _Result) -> _Result:
        if options.output and result is not None:
            self._shell.push({options.output: result})
        return result


def _secret(question: str) -> str:
    """What the user types, unseen."""
    import getpass

    try:
        # looked up now and not at import: a kernel puts its own in its place while a cell runs
        return getpass.getpass(question)
    except KeyboardInterrupt:
        raise Interrupted("no token was given") from None
    except Exception:  # noqa: BLE001 - every front end has its own way of saying that it cannot ask
        raise SettingsError(
            "a token cannot be asked for here", "Set the provider's token variable before the kernel starts."
        ) from None


def _variables(shell: Any, local: Mapping[str, Any] | None) -> dict[str, Any]:
    """What a slot may name: the notebook's own variables, not IPython's, and those of the function one is in."""
    hidden, nothing = shell.user_ns_hidden, object()
    own = {name: value for name, value in shell.user_ns.items() if value is not hidden.get(name, nothing)}
    return own if local is None or local is shell.user_ns else {**own, **local}


ImagenMagics.imagen.__doc__ = manual()
ImagenMagics.imagen_log.__doc__ = log_manual()
