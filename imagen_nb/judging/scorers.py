"""Figures of a picture, from built-in scorers and anybody's own.

A scorer is a plain function. It is given, by name, only what it asks for:

    image      the picture as a PIL image in RGB, decoded once for all scorers; not to be changed
    path       its file
    prompt     the prompt as sent
    params     the model's other inputs, as sent
    run        the whole `Run`
    reference  the first picture that the request was given, as a PIL image, or None

It gives a number, a bool, a text, a dict of those (a column each), or a `Score` with a reason. What it raises, None and
NaN are no score, with a reason, and never 0. `ask` makes a scorer of a question to a model that sees.
"""

from __future__ import annotations

import inspect
import math
import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from imagen_nb.errors import InputError, brief, comma_list, did_you_mean
from imagen_nb.settings import SLICE_S

if TYPE_CHECKING:
    import PIL.Image as Pillow

    from imagen_nb.records import Image, Run

Scorer = Callable[..., Any]
"""A plain function, as above."""
ARGUMENTS = ("image", "path", "prompt", "params", "run", "reference")
ENTRY_POINTS = "imagen_nb.scorers"
"""The group of entry points under which another package offers its scorers by name."""

_GLANCE_PX = 256  # as much of a picture as its light and colours need


@dataclass(frozen=True, slots=True)
class Score:
    """One figure of one picture. `value` is None where there is none, and `reason` says why, or how it came about."""

    value: float | bool | str | None
    reason: str | None = None


Scored = tuple[str, Mapping[str, Score]]
"""The SHA-256 of an image, and its scores by the suffix of their column."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question to a model that sees, to be answered for each picture by yes, no or a figure."""

    model: str
    question: str


def ask(model: str, question: str) -> Question:
    """A scorer that asks a model: yes and no become True and False, a figure a number, and all else is no score.

    The pictures are asked about in one sweep of predictions, which cost what they cost, and are never paid twice.
    """
    for name, value in (("model", model), ("question", question)):
        if not isinstance(value, str) or not value.strip():
            raise InputError(
                f"the {name} is {brief(value)}, not text", "Ask as in ask('owner/name', 'Is there a fox?')."
            )
    return Question(model, question)


def sharpness(image: Pillow.Image) -> float:
    """The variance of the Laplacian of the grey picture, levels from 0 to 1: towards 0 for a blurred one."""
    grey = np.asarray(image.convert("L"), dtype=np.int16)
    edges = 4 * grey[1:-1, 1:-1] - grey[:-2, 1:-1] - grey[2:, 1:-1] - grey[1:-1, :-2] - grey[1:-1, 2:]
    return float(edges.var(dtype=np.float32)) / 255.0**2 if edges.size else 0.0


def brightness(image: Pillow.Image) -> float:
    """The mean of the grey picture, 0 for black to 1 for white."""
    return float(_spread(image, "L").mean[0]) / 255.0


def contrast(image: Pillow.Image) -> float:
    """The standard deviation of the grey picture, levels from 0 to 1; at most 0.5."""
    return float(_spread(image, "L").stddev[0]) / 255.0


def colourfulness(image: Pillow.Image) -> float:
    """0 for grey, about 0.6 for an extremely colourful picture (Hasler and Süsstrunk 2003, levels from 0 to 1)."""
    red, green, blue = np.moveaxis(np.asarray(_glance(image), dtype=np.float32) / 255.0, -1, 0)
    sides = red - green, 0.5 * (red + green) - blue
    spread, middle = (math.hypot(*(float(figure(side)) for side in sides)) for figure in (np.std, np.mean))
    return spread + 0.3 * middle


def blank(image: Pillow.Image) -> bool:
    """Whether it shows nothing: every channel is the same all over, but for a hundredth of its range."""
    return bool(max(_spread(image, "RGB").stddev) < 255.0 / 100.0)


def dhash(image: Pillow.Image) -> str:
    """The 64-bit difference hash as 16 hex digits: few bits differ between pictures that look alike."""
    from PIL.Image import Resampling

    grey = np.asarray(image.resize((9, 8), Resampling.BOX, reducing_gap=2.0).convert("L"), dtype=np.int16)
    return np.packbits(grey[:, 1:] > grey[:, :-1]).tobytes().hex()


def text(image: Pillow.Image, prompt: str) -> Score:
    """The share of characters that are wrong in the words in quotes of the prompt, as OCR reads them: 0 is all right.

    Case and space do not count; more wrong characters than there are give at most 1. Needs `imagen-nb[ocr]`.
    """
    wanted = "".join(re.findall(r"[\"“”«»„]([^\"“”«»„]+)[\"“”«»„]", prompt))
    if not wanted.strip():
        return Score(None, "the prompt has no words in quotes")
    words = _read_words(np.asarray(image))
    expected, seen = (re.sub(r"\s+", "", each).casefold() for each in (wanted, words))
    return Score(_least_distance(expected, seen) / len(expected), f"read: {words!r}")


BUILT_IN: Mapping[str, Scorer] = {
    each.__name__: each for each in (sharpness, brightness, contrast, colourfulness, blank, dhash, text)
}


LOOKS = ("sharpness", "brightness", "contrast", "colourfulness")
"""Those that tell of a picture's looks alone: what may sway a judge."""


def looks(image: Pillow.Image) -> dict[str, float]:
    """All of `LOOKS`."""
    return {name: BUILT_IN[name](image) for name in LOOKS}


def find_scorer(scorer: Scorer | str) -> Scorer:
    """The scorer itself, or the built-in or installed one of that name. Raises `InputError` for what is none."""
    if isinstance(scorer, str):
        from importlib.metadata import entry_points

        installed = {each.name: each for each in entry_points(group=ENTRY_POINTS)}
        if scorer not in BUILT_IN and scorer not in installed:
            names = sorted({*BUILT_IN, *installed})
            raise InputError(
                f"there is no scorer {brief(scorer)}; there are {comma_list(names)}",
                did_you_mean(scorer, names, "Give a function of your own."),
            )
        try:
            scorer = BUILT_IN[scorer] if scorer in BUILT_IN else installed[scorer].load()
        except Exception as error:  # noqa: BLE001 - anybody's package
            why = f"{type(error).__name__}: {error}"
            raise InputError(
                f"the scorer {scorer} cannot be loaded: {why}", "Repair the package that has it."
            ) from None
    if not callable(scorer):
        raise InputError(f"{brief(scorer)} is no scorer", "Give a function, or the name of one: 'sharpness'.")
    unknown = [name for name in wanted_arguments(scorer) if name not in ARGUMENTS]
    if unknown:
        raise InputError(
            f"the scorer asks for {comma_list(unknown)}, which nobody can give; there are {comma_list(ARGUMENTS)}",
            "Rename its arguments, or give them defaults.",
        )
    return scorer


def wanted_arguments(scorer: Scorer) -> list[str]:
    """The names of what a scorer has to be given, and of what it would take of what there is."""
    parameters = inspect.signature(scorer).parameters.values()
    plain = [each for each in parameters if each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)]
    return [each.name for each in plain if each.default is each.empty or each.name in ARGUMENTS]


def score_with(scorer: Scorer, given: Mapping[str, Any]) -> dict[str, Score]:
    """What a scorer makes of one picture, by the suffix of its column: "" for a plain one; what it raises is no score.

    Raises `InputError` for what can be no score of any picture, and where something it needs is not installed.
    """
    try:
        made = scorer(**{name: given[name] for name in wanted_arguments(scorer)})
    except InputError:
        raise
    except Exception as error:  # noqa: BLE001 - anybody's code
        return {"": Score(None, f"{type(error).__name__}: {error}")}
    parts = made if isinstance(made, Mapping) else {"": made}
    return {str(name): _as_score(value) for name, value in parts.items()}


def score_pictures(scorer: Any, pictures: Sequence[tuple[Run, Image]]) -> Iterator[Scored]:
    """What a scorer makes of each image of a run, in the order of being done, as many at once as there are processors.

    Raises what `score_with` does.
    """
    from concurrent.futures import ThreadPoolExecutor
    from queue import Empty, SimpleQueue

    results: SimpleQueue[Scored | BaseException] = SimpleQueue()

    def work(run: Run, image: Image) -> None:
        try:
            results.put((image.sha256, _score_picture(scorer, run, image)))
        except BaseException as error:  # noqa: BLE001 - it is raised where somebody waits
            results.put(error)

    pool = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="imagen-score")
    try:
        for each in pictures:
            pool.submit(work, *each)
        left = len(pictures)
        while left:
            with suppress(Empty):  # in slices, because on some platforms only so a KeyboardInterrupt comes through
                made = results.get(timeout=SLICE_S)
                if isinstance(made, BaseException):
                    raise made
                left -= 1
                yield made
    except KeyboardInterrupt:
        while not results.empty():  # what is done by now counts
            made = results.get()
            if not isinstance(made, BaseException):
                yield made
        raise
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _score_picture(scorer: Scorer, run: Run, image: Image) -> Mapping[str, Score]:
    from PIL.Image import DecompressionBombError

    from imagen_nb.views.thumbnails import open_picture

    given: dict[str, Any] = {"path": image.path, "prompt": run.request.prompt, "params": run.request.params, "run": run}
    references = [file for files in run.request.files.values() for file in files]
    try:
        wanted = wanted_arguments(scorer)
        if "image" in wanted:
            given["image"] = open_picture(image.path).convert("RGB")
        if "reference" in wanted:
            given["reference"] = open_picture(references[0].path).convert("RGB") if references else None
    except (OSError, ValueError, SyntaxError, DecompressionBombError) as error:
        return {"": Score(None, f"the picture cannot be read: {error}")}
    return score_with(scorer, given)


def _as_score(value: Any) -> Score:
    if isinstance(value, Score):
        return value if value.value is None else Score(_as_score(value.value).value, value.reason)
    if value is None:
        return Score(None, "the scorer gave nothing")
    if isinstance(value, bool | np.bool_):
        return Score(bool(value))
    if isinstance(value, int | float | np.number):
        return Score(float(value)) if math.isfinite(value) else Score(None, f"the scorer gave {value}")
    if isinstance(value, str):
        return Score(value)
    raise InputError(
        f"the scorer gave {brief(value)}: neither a number, a bool, a text nor a dict of those",
        "Let it give one of these, or a Score; a dict makes a column of each of its keys.",
    )


def _glance(image: Pillow.Image) -> Pillow.Image:
    """The picture made so small that light and colours are quick to tell."""
    return image.reduce(max(1, max(image.size) // _GLANCE_PX))


def _spread(image: Pillow.Image, mode: str) -> Any:
    """The mean and the standard deviation of each channel."""
    from PIL.ImageStat import Stat  # on first use: completion looks at this module

    return Stat(_glance(image).convert(mode))


_readers: list[Any] = []
_loading = threading.Lock()


def _read_words(pixels: Any) -> str:
    """All words that OCR finds in a picture, in its order."""
    with _loading:
        if not _readers:
            try:
                from rapidocr import RapidOCR
            except ImportError:
                raise InputError("reading words in pictures needs an extra", "pip install 'imagen-nb[ocr]'") from None
            _readers.append(RapidOCR(params={"Global.log_level": "error"}))
    return " ".join(_readers[0](pixels).txts or ())


def _least_distance(wanted: str, seen: str) -> int:
    """How many characters of `wanted` are wrong in the best place of `seen`; what stands around it does not count."""
    row = [0] * (len(seen) + 1)
    for count, letter in enumerate(wanted, 1):
        above, row[0] = row[0], count
        for place, other in enumerate(seen, 1):
            above, row[place] = row[place], min(row[place] + 1, row[place - 1] + 1, above + (letter != other))
    return min(row)
