"""One run as a card, and many as a gallery of tiles."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from imagen_nb.records import Image, Progress, Rendering, Run, Status, canonical
from imagen_nb.views.pages import fill
from imagen_nb.views.pictures import Link, Picture, Thumb, file_of, picture
from imagen_nb.views.words import (
    TIMES,
    Chip,
    chip,
    clip,
    count,
    dollars,
    dot_list,
    is_simulated,
    one_line,
    value_texts,
    reason_line,
    seconds,
    terminal_text,
    value_text,
    why,
)

CARD_BOX, TILE_BOX = 288, 168
SHORT_PROMPT = 320
MOST_TILES, MOST_REASONS = 48, 6
MOST_OF_A_VALUE, MOST_OF_A_REASON, MOST_TITLE = 60, 140, 400


@dataclass(frozen=True, slots=True)
class Tile:
    """One image of a run, or the run itself where it has none, in a gallery."""

    picture: Picture | None
    chip: Chip
    reason: str
    whole_reason: str
    caption: str
    title: str
    figures: str


def card(run: Run, thumb: Thumb, *, link: Link | None = None) -> Rendering:
    """One run with its images (each within 288 CSS pixels, so a 512-pixel thumbnail is sharp), or why it has none.

    `thumb` gives an image's thumbnail as a `data:` URI; `link` an address for its file, or None.
    """
    box = CARD_BOX if len(run.images) <= 1 else TILE_BOX
    pictures = [picture(image, thumb, box=box, link=link) for image in run.images]
    prompt = run.request.prompt
    html = fill(
        "card.html",
        pictures=pictures,
        chip=chip(run),
        why=why(run),
        simulated=is_simulated(run),
        prompt=clip(prompt, SHORT_PROMPT),
        whole=prompt if len(prompt) > SHORT_PROMPT else None,
        model=run.request.model,
        params=value_texts(run.request.params),
        figures=[part for part in (seconds(run.total_s), dollars(run.cost)) if part],
        labels=[part for part in (run.experiment, run.tag, run.note) if part],
        rating=run.rating,
        run_id=run.id,
    )
    return {"text/plain": _card_text(run, pictures), "text/html": html}


def image_alone(image: Image, thumb: Thumb, *, link: Link | None = None) -> Rendering:
    """One image, as large as on a card, above the way to its file."""
    shown = picture(image, thumb, box=CARD_BOX, link=link)
    return {"text/plain": terminal_text([f"{shown.file}  {shown.about}"]), "text/html": fill("image.html", picture=shown)}


def gallery(
    runs: Sequence[Run],
    thumb: Thumb,
    *,
    link: Link | None = None,
    heading: str | None = None,
    note: str | None = None,
) -> Rendering:
    """Every image of these runs as a tile, captioned with what tells it from the others.

    `heading` stands above, `note` (how to see the rest, say) below. Keeping the number bounded is the
    caller's part.
    """
    captions = distinctions(runs)
    tiles = [tile for run, caption in zip(runs, captions, strict=True) for tile in tiles_of(run, caption, thumb, link)]
    html = fill("gallery.html", tiles=tiles, heading=heading, note=note, reasons=(), frame=_frame(tiles))
    lines = [heading or count(len(runs), "run")]
    lines += [_line(run, caption, link) for run, caption in zip(runs, captions, strict=True)]
    return {"text/plain": terminal_text([*lines, note] if note else lines), "text/html": html}


def runs(
    shown: Sequence[Run],
    thumb: Thumb,
    *,
    link: Link | None = None,
    progress: Progress | None = None,
    limit: int = MOST_TILES,
    note: str | None = None,
) -> Rendering:
    """What a sweep came to: a line that sums it up, its first `limit` runs as tiles, and every reason for a failure.

    `progress` is the sweep's own account of it; `note` stands below: what else is to be said of the sweep.
    """
    heading = summary_line(shown, progress)
    reasons = failures(shown)
    part = shown[:limit]
    if len(part) < len(shown):
        more = (
            f"The first {len(part)} of {len(shown):,} runs; .frame().imagen shows them all, as .gallery() or .grid()."
        )
        note = f"{note} {more}" if note else more
    captions = distinctions(part)
    tiles = [tile for run, caption in zip(part, captions, strict=True) for tile in tiles_of(run, caption, thumb, link)]
    html = fill("gallery.html", tiles=tiles, heading=heading, note=note, reasons=reasons, frame=_frame(tiles))
    lines = [heading, *(_line(run, caption, link) for run, caption in zip(part, captions, strict=True))]
    lines += [f"  {number} {TIMES} {text}" for number, text in reasons]
    return {"text/plain": terminal_text([*lines, note] if note else lines), "text/html": html}


def summary_line(shown: Sequence[Run], progress: Progress | None = None) -> str:
    """`12 of 16 succeeded · 3 failed · 1 blocked · 4 of them earlier · 48 s · $0.48`.

    Of a sweep that found some of its runs in the log, the cost is what it added to it.
    """
    if not shown and progress is not None and not progress.total:
        return "Nothing was to be done."
    words = Counter(chip(run).word for run in shown)
    good = words.pop(str(Status.SUCCEEDED), 0)
    first = f"{good:,} of {len(shown):,} succeeded" if len(shown) != 1 or not good else "1 succeeded"
    others = [f"{number:,} {word}" for word, number in words.most_common()]
    if progress is not None and progress.skipped:
        earlier = f"{progress.skipped:,} of them earlier"
        cost = progress.cost if progress.done > progress.skipped else 0.0
        return dot_list([first, *others, earlier, seconds(progress.elapsed), dollars(cost)])
    costs = [run.cost for run in shown if run.cost is not None]
    elapsed = None if progress is None else progress.elapsed
    return dot_list([first, *others, seconds(elapsed), dollars(sum(costs)) if costs else ""])


def failures(shown: Sequence[Run]) -> list[tuple[int, str]]:
    """Each distinct reason why runs have no image, with how often it came; the most frequent first, a few at most."""
    reasons = Counter(
        f"{chip(run).word}: {reason_line(run, 200)}" for run in shown if run.status.is_terminal and why(run) is not None
    )
    most = [(number, text) for text, number in reasons.most_common(MOST_REASONS)]
    rest = sum(reasons.values()) - sum(number for number, _ in most)
    return [*most, (rest, "for other reasons")] if rest else most


def distinctions(shown: Sequence[Run]) -> list[str]:
    """For each run a caption that no other has.

    The slots and parameters that vary, and the prompt where runs of the same settings differ in it; runs that are
    still alike are numbered, as repeats where that tells them apart.
    """
    settings = [_settings(run) for run in shown]
    names = [name for name in dict.fromkeys(name for each in settings for name in each) if _varies(settings, name)]
    groups = [tuple(canonical(each.get(name)) for name in names) for each in settings]
    prompts: dict[tuple[str, ...], set[str]] = {}
    for group, run in zip(groups, shown, strict=True):
        prompts.setdefault(group, set()).add(run.request.prompt)
    is_one = len({run.request.prompt for run in shown}) == 1
    captions = []
    for run, each, group in zip(shown, settings, groups, strict=True):
        parts = [one_line(value_text(each[name]), MOST_OF_A_VALUE) for name in names if each.get(name) is not None]
        has_prompt = len(prompts[group]) > 1 or not (any(parts) or is_one)
        captions.append(dot_list([one_line(run.request.prompt, MOST_OF_A_VALUE) if has_prompt else "", *parts]))
    return _numbered(captions, [run.request.repeat for run in shown])


def _numbered(captions: Sequence[str], repeats: Sequence[int]) -> list[str]:
    """The captions with a number where several are the same, or where one is empty."""
    groups: dict[str, list[int]] = {}
    for caption, repeat in zip(captions, repeats, strict=True):
        groups.setdefault(caption, []).append(repeat)
    numbers = {text: iter(of if len(set(of)) == len(of) else range(1, len(of) + 1)) for text, of in groups.items()}
    return [
        dot_list([text, f"no. {next(numbers[text])}" if len(groups[text]) > 1 or not text else ""]) for text in captions
    ]


def tiles_of(run: Run, caption: str, thumb: Thumb, link: Link | None, *, box: int = TILE_BOX) -> list[Tile]:
    """A tile for each image of the run, or one that says why there is none."""
    said = (chip(run), reason_line(run, MOST_OF_A_REASON), reason_line(run, MOST_TITLE))
    figures = dot_list([seconds(run.total_s), dollars(run.cost), "simulated" if is_simulated(run) else ""])
    title = one_line(run.request.prompt, 300)
    if not run.images:
        return [Tile(None, *said, caption, title, figures)]
    many = len(run.images)
    return [
        Tile(
            picture(image, thumb, box=box, link=link),
            *said,
            f"{caption} ({number} of {many})" if many > 1 else caption,
            title,
            figures if number == 1 else "",
        )
        for number, image in enumerate(run.images, 1)
    ]


def _settings(run: Run) -> dict[str, Any]:
    return {**run.request.slots, **run.request.params, "model": run.request.model}


def _varies(settings: Sequence[Mapping[str, Any]], name: str) -> bool:
    return len({canonical(each[name]) for each in settings if each.get(name) is not None}) > 1


def _frame(tiles: Sequence[Tile]) -> int:
    """The height that every tile's picture is centred in: as low as the tallest picture allows."""
    heights = [tile.picture.height for tile in tiles if tile.picture]
    return max([*heights, TILE_BOX // 2]) if heights else TILE_BOX // 2


def _card_text(run: Run, pictures: Sequence[Picture]) -> str:
    """The card for a terminal."""
    simulated = "simulated" if is_simulated(run) else ""
    lines = [dot_list([chip(run).word, run.request.model, seconds(run.total_s), dollars(run.cost), simulated])]
    lines += [f"  {line}" for line in clip(run.request.prompt, SHORT_PROMPT).splitlines()]
    if run.request.params:
        lines.append("  " + "  ".join(f"{name}={text}" for name, text in value_texts(run.request.params)))
    lines += [f"  {each.file}  {each.about}" for each in pictures]
    if reason := why(run):
        lines += [f"  {one_line(reason.text, 400)}", f"  {reason.next}"]
    return terminal_text(lines)


def _line(run: Run, caption: str, link: Link | None) -> str:
    """A run on one line of a terminal: its state, what tells it from the others, and its file or its reason."""
    end = reason_line(run, 100) or " ".join(file_of(image, link) for image in run.images)
    return f"  {chip(run).word:<10}  {caption}  {end}"
