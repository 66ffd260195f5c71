"""The nouns: frozen values that travel from the prompt to the log and back."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imagen_nb.errors import ImageError, brief, readable
from imagen_nb.files import has_hash

if TYPE_CHECKING:
    import builtins  # an image has a field called bytes

    import PIL.Image

Json = Mapping[str, Any]
Rendering = Mapping[str, str]
"""MIME type to text, as Jupyter's display protocol wants it: `text/plain` always, `text/html` beside it."""

_PROMPT_SHOWN = 80
INDEX = "run_id"
LEADING_COLUMNS: Mapping[str, str] = dict.fromkeys(
    ("experiment", "tag", "model", "provider", "prompt", "template"), "text"
)
TRAILING_COLUMNS: Mapping[str, str] = {
    "repeat": "whole",
    "status": "status",
    "error": "text",
    "error_code": "text",
    "prediction_id": "text",
    "created_at": "time",
    "started_at": "time",
    "completed_at": "time",
    "total_s": "number",
    "predict_s": "number",
    "cost_usd": "number",
    "cost_source": "text",
    "image": "text",
    "images": "paths",
    "width": "whole",
    "height": "whole",
    "bytes": "whole",
    "sha256": "text",
    "rating": "whole",
    "note": "text",
    "favourite": "truth",
    "text": "text",
    "parent": "text",
}
LOG_COLUMNS: Mapping[str, str] = {INDEX: "text", **LEADING_COLUMNS, **TRAILING_COLUMNS}
"""The index and the columns that the log's frame has by itself, in their order, each with the kind of its values.

The columns of slots and of the model's inputs stand between `LEADING_COLUMNS` and `TRAILING_COLUMNS`; no slot can have
one of these names, but for `LATER_COLUMNS`.
"""

LATER_COLUMNS = frozenset(("favourite", "text", "parent"))
"""Columns that 0.1.0 did not have: a slot that was called so there still is, and shows as `slot_<name>`."""

JUDGE = "judge"
"""The kind of a run that asked a model about pictures: the log keeps those apart from the user's own."""

SCORE_PREFIX = "score_"
"""Of the columns of scores in a frame, which are the log's too."""


def is_own_column(name: str) -> bool:
    """Whether the log has a column of that name by itself; a slot or an input that is called so gets a prefix."""
    return name in LOG_COLUMNS or name.startswith(SCORE_PREFIX)


IMAGE_MIMES: Mapping[str, str] = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "WEBP": "image/webp",
    "GIF": "image/gif",
    "AVIF": "image/avif",
}
"""The formats that are opened anywhere, by Pillow's names: it knows many more, and starts programs for some."""


class Status(str, Enum):
    """Where a run stands. `intent`, `expired` and `unknown` are ours, the six others are the API's words."""

    INTENT = "intent"
    STARTING = "starting"
    PROCESSING = "processing"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"
    ABORTED = "aborted"
    EXPIRED = "expired"
    UNKNOWN = "unknown"

    def __str__(self) -> str:
        return self.value

    @property
    def is_terminal(self) -> bool:
        """Whether no further change will come: the provider is done, or the image is gone for good."""
        return self in _TERMINAL


BLOCKED = "blocked"
"""The error code of what a safety filter refused, and a word to ask for those runs by; their status is another."""
STATUS_WORDS = (*map(str, Status), BLOCKED)
"""The words that runs can be asked for by."""
_TERMINAL = frozenset({Status.SUCCEEDED, Status.FAILED, Status.CANCELED, Status.ABORTED, Status.EXPIRED})


@dataclass(frozen=True, slots=True, repr=False)
class InputFile:
    """A file that a request needs. Two with the same bytes are equal, whatever they are called and wherever they lie.

    `path` is the copy in the home, whose name is its SHA-256; `width` and `height` are pixels where it is a picture;
    `parent` is the id of the run that made it, and `source` the path it was read from, if any.
    """

    sha256: str
    name: str = field(compare=False)
    path: Path = field(compare=False)
    bytes: int = field(compare=False)
    mime: str = field(compare=False)
    width: int | None = field(default=None, compare=False)
    height: int | None = field(default=None, compare=False)
    parent: str | None = field(default=None, compare=False)
    source: str | None = field(default=None, compare=False)

    def __str__(self) -> str:
        """As a frame's column shows it: the name, and the first digits of the hash."""
        return f"{self.name} {self.sha256[:SHOWN_DIGITS]}"

    def __repr__(self) -> str:
        return f"<InputFile {self}>"

    @property
    def original(self) -> Path:
        """Where it was read from, while it is still there with the same bytes; else the copy in the home."""
        source = Path(self.source or self.path)
        return source if source == self.path or has_hash(source, self.sha256) else self.path


SHOWN_DIGITS = 8
"""How many digits of its SHA-256 stand behind the name of an input file."""


NOT_AS_ASKED = "not_as_asked"
"""The `error_code` of a run that succeeded, and whose reply is of another model, count or size than asked for."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A file as the provider keeps it for a while: its id, and the address that stands for it in an input.

    Times are UTC, by our clock.
    """

    id: str
    url: str
    made_at: datetime
    expires_at: datetime


def name_files(value: Any) -> Any:
    """The value with each file in it, alone or in a list, as a frame's column shows it."""
    if isinstance(value, list | tuple):
        return list(map(name_files, value))
    return str(value) if isinstance(value, InputFile) else value


def canonical(value: Any) -> str:
    """The same text for the same JSON value, whatever the order of its keys; a file counts by its content alone."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=_plain)


def _plain(value: Any) -> str:
    return f"sha256:{value.sha256}" if isinstance(value, InputFile) else str(value)


def _hashable(value: Any) -> Any:
    """A JSON value with its maps and lists frozen; equal values stay equal."""
    if isinstance(value, Mapping):
        return frozenset((name, _hashable(each)) for name, each in value.items())
    return tuple(map(_hashable, value)) if isinstance(value, list | tuple) else value


@dataclass(frozen=True)
class Request:
    """One model, one input and a repeat number: not yet sent.

    `input` is exactly what the body's "input" will hold, the prompt included, but that an `InputFile` is sent as an
    address. `template` is the text the prompt came from (the prompt itself where there were no slots) and `slots` the
    value chosen for each slot. `repeat` counts from 1.
    """

    model: str
    input: Json
    template: str
    slots: Json = field(default_factory=dict)
    repeat: int = 1

    def __hash__(self) -> int:
        return hash((self.model, self.template, self.repeat, _hashable(self.slots), _hashable(self.input)))

    @property
    def prompt(self) -> str:
        """The text as it is sent."""
        return str(self.input.get("prompt", ""))

    @property
    def params(self) -> dict[str, Any]:
        """Every input other than the prompt, as it is sent."""
        return {name: value for name, value in self.input.items() if name != "prompt"}

    @property
    def files(self) -> dict[str, tuple[InputFile, ...]]:
        """The files of each input that has any, in order."""
        lists = {name: value if isinstance(value, list | tuple) else [value] for name, value in self.input.items()}
        found = {name: tuple(each for each in some if isinstance(each, InputFile)) for name, some in lists.items()}
        return {name: some for name, some in found.items() if some}

    @property
    def parent(self) -> str | None:
        """The id of the run that made its first file that a run made."""
        return next((each.parent for some in self.files.values() for each in some if each.parent), None)

    @cached_property
    def key(self) -> str:
        """32 hex digits, equal exactly for the same model, template, slots, input and repeat number."""
        text = canonical([self.model, self.template, self.slots, self.input, self.repeat])
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Prediction:
    """The API's resource, as one reply showed it.

    `status` is ours; `seen_status` is the word that came (they differ only for a status nobody knows, which counts
    as `processing`). `output` holds the address of every output in order, `text` what else was given in words. Times
    are UTC, durations are seconds.
    """

    id: str
    status: Status
    seen_status: str = ""
    model: str | None = None
    input: Json = field(default_factory=dict)
    output: tuple[str, ...] = ()
    text: str = ""
    error: str | None = None
    error_code: str | None = None
    created_at: datetime | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    predict_s: float | None = None
    total_s: float | None = None
    data_removed: bool = False
    raw: Json = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Image:
    """One whole, decoded file that a run produced. `width` and `height` are pixels, `bytes` is the file's size."""

    path: Path
    sha256: str
    width: int
    height: int
    bytes: int
    mime: str
    url: str | None = None
    request: Request | None = field(default=None, repr=False, compare=False)
    """What was asked for, where the image belongs to a run."""

    def read(self) -> builtins.bytes:
        """The file, byte for byte. Raises `ImageError` where it is gone."""
        try:
            return self.path.read_bytes()
        except OSError as error:
            reason = error.strerror or type(error).__name__
            hint = "The home it lies in was moved or deleted; run.again() makes another image."
            raise ImageError(f"{self.path} cannot be read: {reason}", hint) from None

    def pil(self) -> PIL.Image.Image:
        """The picture as Pillow has it, loaded. Raises `ImageError` where the file is gone."""
        from io import BytesIO

        import PIL.Image

        picture = PIL.Image.open(BytesIO(self.read()), formats=list(IMAGE_MIMES))
        picture.load()
        return picture

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Copy the file, byte for byte, to `path`, and give the copy's absolute path.

        In a folder it is named by its slots or the beginning of its prompt. Folders on the way are made. Raises
        `ImageError` where the file is gone, and `InputError` where the place cannot be written.
        """
        from imagen_nb.files import absolute_path, replace_file, write_errors
        from imagen_nb.views.names import image_name

        target, data = absolute_path(path), self.read()
        if target.is_dir() or str(path).endswith(("/", os.sep)):
            target /= image_name(self)
        with write_errors(target), replace_file(target) as temporary:
            temporary.write_bytes(data)
        return target

    def show(self) -> None:
        """Display it here: as a cell's output in a notebook, as text elsewhere."""
        from imagen_nb.notebook.live import show

        show(self)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Rendering:  # noqa: ARG002 - Jupyter's signature
        from imagen_nb.views.cards import render_image

        return render_image(self)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What collecting one prediction came to: its last state, its images, and why there are none."""

    prediction: Prediction
    images: tuple[Image, ...] = ()
    status: Status = Status.SUCCEEDED
    error: str | None = None
    error_code: str | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Run:
    """One request and all that became of it: one row of the log.

    `cost` is US dollars, or None where it is not known; `cost_source` says where the figure is from. `total_s` and
    `predict_s` are seconds as the provider counts them. Times are UTC. `text` is what a model answers in words, and
    `parent` the id of the run that made the file it was asked with.
    """

    id: str
    request: Request
    status: Status
    error: str | None = None
    error_code: str | None = None
    prediction_id: str | None = None
    images: tuple[Image, ...] = ()
    cost: float | None = None
    cost_source: str | None = None
    created_at: datetime | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    total_s: float | None = None
    predict_s: float | None = None
    provider: str | None = None
    experiment: str | None = None
    tag: str | None = None
    rating: int | None = None
    note: str | None = None
    favourite: bool = False
    text: str | None = None
    parent: str | None = None

    def __post_init__(self) -> None:
        """Let each image know what was asked for."""
        images = tuple(
            image if image.request is self.request else replace(image, request=self.request) for image in self.images
        )
        object.__setattr__(self, "images", images)

    def __repr__(self) -> str:
        count = f"{len(self.images)} image{'s' * (len(self.images) != 1)}"
        outcome = readable(self.error) if self.error and not self.images else count
        prompt = brief(self.request.prompt, width=_PROMPT_SHOWN)
        return f"<Run {self.id}: {self.status}, {self.request.model}, {prompt}, {outcome}>"

    def cell(self) -> str:
        """The text of a `%%imagen` cell that makes the same request again, experiment, tag and slots included."""
        from imagen_nb.planning.cells import cell_text

        return cell_text(self.request, self.experiment, self.tag)

    def rate(self, rating: int | None = None, note: str | None = None, favourite: bool | None = None) -> Run:
        """Write a rating (1 to 5), a note, or whether it is a favourite to its row, and give the run as it is then.

        What is None stays as it is; a rating of 0 and a note of "" take it away. The row is in the log of the home that
        its images lie in, else in the default workspace's.
        """
        from imagen_nb.shared import default_workspace
        from imagen_nb.views.pictures import home_of
        from imagen_nb.workspace import Workspace

        workspace = default_workspace()
        home = home_of(self.images[0].path) if self.images else None
        if home in (None, workspace.home):
            return workspace.rate(self, rating, note, favourite)
        with Workspace(home=home, provider="simulator") as other:  # which needs no token
            return other.rate(self, rating, note, favourite)

    def again(self) -> Run:
        """Make the same request once more, in the default workspace, and wait for it: its experiment and tag are kept.

        Raises what keeps it from being asked, as `imagen_nb.generate` does.
        """
        from imagen_nb.shared import default_workspace

        workspace = default_workspace()
        return workspace.run(workspace.plan_again(self.request), experiment=self.experiment, tag=self.tag).only()

    def show(self) -> None:
        """Display it here: as a cell's output in a notebook, as text elsewhere."""
        from imagen_nb.notebook.live import show

        show(self)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Rendering:  # noqa: ARG002 - Jupyter's signature
        from imagen_nb.views.cards import render_run

        return render_run(self)


CHOICES = ("a", "b", "tie", "neither")
"""The answers to "which of these two"."""


@dataclass(frozen=True, slots=True)
class Vote:
    """One answer to "which of these two", of runs that differ in `by` and are equal in what `group` says.

    `rater` is None for one nobody named; `seconds` are from shown to answered; `chosen_by` says how the pair was
    chosen. `id` and `at` (UTC) are the log's.
    """

    run_a: str
    run_b: str
    choice: str
    by: str
    level_a: str
    level_b: str
    question: str
    group: str = ""
    rater: str | None = None
    seconds: float | None = None
    chosen_by: str | None = None
    at: datetime | None = None
    id: int | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a sweep has come. `elapsed` and `left` are seconds; `left` and `cost` are None where not known.

    With `is_simulated` the cost is nothing to be paid.
    """

    total: int
    done: int = 0
    succeeded: int = 0
    failed: int = 0
    canceled: int = 0
    skipped: int = 0
    in_flight: int = 0
    elapsed: float = 0.0
    left: float | None = None
    cost: float | None = None
    state: str = "running"
    """`running`, `waiting` (the provider asks to wait), `canceling`, or `ended`."""
    message: str | None = None
    strays: str | None = None
    """Which predictions are billed, seem to be ours, and are no row's."""
    is_simulated: bool = False
