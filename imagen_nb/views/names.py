"""Pictures named by what varies: `fox_oil_16x9_1.jpg`, and what tells runs apart, which captions say too."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from itertools import count
from typing import Any

from imagen_nb.records import Image, Request, Run, canonical
from imagen_nb.views.words import value_text

Pairs = Sequence[tuple[str, Any]]
"""Names of settings with their values."""

_PART, _STEM, _DIGITS = 24, 96, 6
"""The most bytes of one value in a file's name and of all of them, and how many digits of its hash make it its own."""

_RATIO = re.compile(r"(?<=\d):(?=\d)")
_ACCENTS = re.compile("(?<=[A-Za-z])[\u0300-\u036f]+")
_ENDING = re.compile(r"\.[a-z0-9]{1,4}")
_DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)", re.IGNORECASE)
"""Names that Windows keeps for itself, whatever their ending."""


def what_varies(runs: Sequence[Run]) -> list[Pairs]:
    """For each run what tells it from the others: the slots and parameters that vary, and the model.

    Before them stands the `prompt` where runs of the same settings differ in it. Empty for runs that are all alike.
    """
    settings = [{**run.request.slots, **run.request.params, "model": run.request.model} for run in runs]
    kinds: dict[str, set[str]] = {}
    for each in settings:
        for name, item in each.items():
            kinds.setdefault(name, set()).update(() if item is None else (canonical(item),))
    names = [name for name, different in kinds.items() if len(different) > 1]
    groups = [tuple(canonical(each.get(name)) for name in names) for each in settings]
    prompts: dict[tuple[str, ...], set[str]] = {}
    for group, run in zip(groups, runs, strict=True):
        prompts.setdefault(group, set()).add(run.request.prompt)
    is_one = len({run.request.prompt for run in runs}) == 1
    found: list[Pairs] = []
    for run, each, group in zip(runs, settings, groups, strict=True):
        own = [(name, each[name]) for name in names if each.get(name) is not None]
        has_prompt = len(prompts[group]) > 1 or not (is_one or any(value_text(item) for _, item in own))
        found.append([("prompt", run.request.prompt), *own] if has_prompt else own)
    return found


def image_names(runs: Sequence[Run], pairs: Sequence[Pairs] | None = None) -> list[tuple[str, ...]]:
    """For each run a file name for each of its images, safe on every file system and different from all others.

    `pairs` is what to name each run by, by default what varies. The repeat's number follows where repeats differ. Names
    that would still be alike get six digits of the image's SHA-256, so the same runs have the same names in any order.
    """
    has_repeats = len({run.request.repeat for run in runs}) > 1
    stems: list[str] = []
    images: list[Image] = []
    for run, own in zip(runs, what_varies(runs) if pairs is None else pairs, strict=True):
        stem = _stem(own, run.request) + (f"_{run.request.repeat}" if has_repeats else "")
        many = len(run.images) > 1
        stems += [f"{stem}-{number}" if many else stem for number in range(1, len(run.images) + 1)]
        images += run.images
    alike = Counter(stem.casefold() for stem in stems)
    used: set[str] = set()
    names = []
    for stem, image in zip(stems, images, strict=True):
        full = _with_digits(stem, image) if alike[stem.casefold()] > 1 else stem
        tries = (f"{full}-{number}" if number > 1 else full for number in count(1))
        name = next(each for each in tries if each.casefold() not in used)
        used.add(name.casefold())
        names.append(name + ending(image))
    rest = iter(names)
    return [tuple(next(rest) for _ in run.images) for run in runs]


def image_name(image: Image) -> str:
    """A file name for one image by itself: its slots or the first words of its prompt, and six digits of its SHA-256.

    So pictures saved one by one into a folder overwrite no other, and one that is saved twice is one file.
    """
    return _with_digits(_stem((), image.request), image) + ending(image)


def ending(image: Image) -> str:
    """The ending of the image's file, where it is a plain one."""
    found = image.path.suffix.lower()
    return found if _ENDING.fullmatch(found) else ""


def _with_digits(stem: str, image: Image) -> str:
    """The stem with the first digits of the image's hash, where it has one."""
    digits = "".join(filter(str.isalnum, image.sha256))[:_DIGITS]
    return f"{stem}_{digits}" if digits else stem


def _stem(pairs: Pairs, request: Request | None) -> str:
    """The values as words of a file's name; without any, the request's slots, or the beginning of its prompt."""
    if not pairs and request:
        pairs = list(request.slots.items()) or [("prompt", request.prompt)]
    stem = _cut("_".join(filter(None, (_word(name, item) for name, item in pairs))), _STEM) or "image"
    return f"{stem}_" if _DEVICE.fullmatch(stem) else stem


def _word(name: str, item: Any) -> str:
    """A value in letters, digits and hyphens: `16:9` is `16x9`, a model goes without its owner, 20 steps `steps-20`."""
    text = value_text(item)
    if name == "model":
        text = text.rpartition("/")[2]
    elif not isinstance(item, str):
        text = f"{name} {text}"
    text = _ACCENTS.sub("", unicodedata.normalize("NFKD", _RATIO.sub("x", text)))
    kept = (each if each.isalnum() or unicodedata.category(each)[0] == "M" else " " for each in text)
    return _cut("-".join(unicodedata.normalize("NFC", "".join(kept)).split()), _PART)


def _cut(text: str, most: int) -> str:
    """At most so many bytes of UTF-8, cut at a hyphen where one is near."""
    if len(text.encode()) <= most:
        return text
    short = text.encode()[:most].decode(errors="ignore")
    return (short.rpartition("-")[0] if "-" in short[most // 2 :] else short).rstrip("-_")
