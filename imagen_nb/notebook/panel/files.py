"""The control of an input that takes files: a path or an address as text, what is dropped or chosen, or a run's."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import ipywidgets as w  # type: ignore[import-untyped]  # it has no types

from imagen_nb.errors import ImageError, ImagenError, InputError, readable
from imagen_nb.notebook.widgets import FileDrop
from imagen_nb.records import InputFile, Run
from imagen_nb.views.pages import fill
from imagen_nb.views.pictures import data_uri
from imagen_nb.views.thumbnails import thumbnail

if TYPE_CHECKING:
    from imagen_nb.planning.inputs import ParamSpec
    from imagen_nb.workspace import Workspace

PX = 96


class FileField:
    """A text that names the files, with semicolons between several, and what puts names into it; see `form.Field`.

    What a name stands for is read once and kept in the home, so that checking the form reads no file again. `picked()`
    gives the run that is picked. A file that cannot be had is said by `read`.
    """

    def __init__(self, param: ParamSpec, workspace: Workspace, picked: Callable[[], Run | None]) -> None:
        self._param = param
        self._workspace = workspace
        self._picked = picked
        self._known: dict[str, InputFile | str | InputError] = {}
        self._is_list = param.type == "array"
        names = "a path or https:…; several with ; between" if self._is_list else "a path, or https:…"
        self.control = w.Text(placeholder=names, continuous_update=False)
        self._pictures = w.HTML()
        self._drop = FileDrop(self._put_in, lambda: self._put_in(self._picked()), several=self._is_list)
        self.control.observe(lambda _: self._show(), "value")
        self.parts = [self._drop, self._pictures]
        """What stands below the text."""

    def read(self) -> Any:
        """The file, or the list of them; None where none is given. Raises `InputError` for one that cannot be had."""
        files = self._files()
        for each in files:
            if isinstance(each, InputError):
                raise each
        if len(files) > 1 and not self._is_list:
            raise InputError(f"{self._param.name} takes one file, and {len(files)} are given", "Leave the others out.")
        if not files:
            return None
        return self._param.coerce(files) if self._is_list else files[0]

    def put(self, value: Any) -> None:
        """Name the files of an earlier request; None for none."""
        given = value if isinstance(value, list | tuple) else [value]
        self.control.value = "; ".join(map(self._name, filter(None, given)))

    def _files(self) -> list[InputFile | str | InputError]:
        text = self.control.value.strip()
        names = [text] if text.startswith("data:") else [name.strip() for name in text.split(";")]
        return [self._known.get(name) or self._get(name) for name in names if name]

    def _get(self, name: str) -> InputFile | str | InputError:
        try:
            self._known[name] = self._workspace.input_file(name.removeprefix("@"))
        except ImagenError as error:
            return error if isinstance(error, InputError) else InputError(error.message, error.hint)
        return self._known[name]

    def _name(self, file: InputFile | str) -> str:
        """The name that stands for a file from now on."""
        name = readable(str(file)).replace(";", ",") if isinstance(file, InputFile) else str(file)
        self._known[name] = file
        return name

    def _put_in(self, given: Any, name: str | None = None) -> None:
        """A file that was dropped, chosen or picked: beside those that are there, or in the place of the one."""
        if given is None:
            self._show("No run is picked: pick one of the earlier runs first.")
            return
        try:
            given_name = self._name(self._workspace.input_file(given, name))
        except InputError as error:
            given_name = f"({name or 'the run'})"
            self._known[given_name] = error
        before = self.control.value.strip() if self._is_list else ""
        self.control.value = f"{before}; {given_name}" if before else given_name

    def _show(self, note: str = "") -> None:
        shown = []
        for file in [each for each in self._files() if isinstance(each, InputFile)]:
            with suppress(ImageError):  # no picture
                shown.append({"src": data_uri(thumbnail(file.path, PX)), "name": file.name})
        self._pictures.value = fill("files.html", files=shown, note=note)
