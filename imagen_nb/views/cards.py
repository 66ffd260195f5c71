"""One run as a card, and many as a gallery of tiles."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from imagen_nb.records import Image, Progress, Rendering, Run, Status
from imagen_nb.views.names import image_names, what_varies
from imagen_nb.views.pages import fill
from imagen_nb.views.pictures import Link, Picture, Thumb, below, card_px, file_of, picture, pictures_of, references_of
from imagen_nb.views.words import (
    TIMES,
    Chip,
    chip,
    clip,
    cost_text,
    count,
    dollars,
    dot_list,
    is_simulated,
    one_line,
    reason_line,
    seconds,
    terminal_text,
    value_text,
    value_texts,
    why,
)

CARD_BOX, TILE_BOX = 288, 168
TILE_PX = 256
SHORT_PROMPT, MOST_TEXT = 320, 20_000
MOST_TILES, MOST_REASONS = 48, 6
MOST_OF_A_VALUE, MOST_OF_A_REASON, MOST_TITLE = 60, 140, 400


def render_run(run: Run, thumb: Thumb | None = None, *, link: Link | None = None) -> Rendering:
    """One run as a card with its images (each within 288 CSS pixels, so a 512-pixel thumbnail is sharp), or why none.

    `thumb` gives an image's thumbnail as a `data:` URI, `link` an address for its file, or None. Without `thumb`,
    they are thumbnails of the files and links to those in the notebook's folder.
    """
    if thumb is None:
        px = card_px(run.images)
        thumb, link = _file_thumb(px if len(run.images) <= 1 else min(TILE_PX, px)), below(Path.cwd())
    request, prompt = run.request, run.request.prompt
    box = CARD_BOX if len(run.images) <= 1 else TILE_BOX
    pictures = pictures_of(run, thumb, box=box, link=link)
    state, reason, params = chip(run), why(run), value_texts(request.params)
    figures = [part for part in (seconds(run.total_s), cost_text(run)) if part]
    html = fill(
        "card.html",
        pictures=pictures,
        references=references_of(run, link),
        text=clip(run.text, MOST_TEXT) if run.text else None,
        chip=state,
        why=reason,
        simulated=is_simulated(run),
        prompt=clip(prompt, SHORT_PROMPT),
        whole=prompt if len(prompt) > SHORT_PROMPT else None,
        model=request.model,
        params=params,
        figures=figures,
        labels=[part for part in (run.experiment, run.tag, run.note) if part],
        rating=run.rating,
        run_id=run.id,
    )
    lines = [dot_list([state.word, request.model, *figures])]
    lines += [f"  {line}" for line in clip(prompt, SHORT_PROMPT).splitlines()]
    lines += ["  " + "  ".join(f"{name}={text}" for name, text in params)] if params else []
    lines += [f"  {line}" for line in clip(run.text or "", MOST_TEXT).splitlines()]
    lines += [f"  {each.file}  {each.about}" for each in pictures]
    lines += [f"  {one_line(reason.text, 400)}", f"  {reason.next}"] if reason else []
    return {"text/plain": terminal_text(lines), "text/html": html}


def render_image(image: Image, thumb: Thumb | None = None, *, link: Link | None = None) -> Rendering:
    """One image by itself, as large as on a card, above the way to its file; `thumb` and `link` as for a run."""
    if thumb is None:
        thumb, link = _file_thumb(card_px([image])), below(Path.cwd())
    alone = picture(image, thumb, box=CARD_BOX, link=link)
    text = terminal_text([f"{alone.file}  {alone.about}"])
    return {"text/plain": text, "text/html": fill("image.html", picture=alone)}


def render_sweep(
    runs: Sequence[Run],
    thumb: Thumb | None = None,
    *,
    link: Link | None = None,
    progress: Progress | None = None,
    alarms: str = "",
    limit: int = MOST_TILES,
) -> Rendering:
    """What a sweep came to: a line that sums it up, its first `limit` runs as tiles, and every reason for a failure.

    `progress` is the sweep's own account of it, which knows what was never sent; `alarms` a line on what is suspicious;
    `thumb` and `link` as for a run.
    """
    if thumb is None:
        px = card_px([image for run in runs for image in run.images[:1]][:1])
        thumb, link = _file_thumb(min(TILE_PX, px)), below(Path.cwd())
    notes = []
    left = progress.total - progress.done if progress is not None and progress.state == "ended" else 0
    if progress is not None and left:
        unsent = f"{left:,} of {progress.total:,} requests were not sent"
        notes.append(f"{unsent}: {progress.message}." if progress.message else f"{unsent}; --resume goes on.")
    if progress is not None and progress.strays:
        notes.append(f"{progress.strays}.")
    if alarms:
        notes.append(f"{alarms}.")
    if limit < len(runs):
        first = f"The first {limit} of {len(runs):,} runs"
        notes.append(f"{first}; .frame().imagen shows them all, as .gallery() or .grid().")
    heading, note = summary_line(runs, progress), " ".join(notes) or None
    return render_gallery(runs[:limit], thumb, link=link, heading=heading, note=note, reasons=failures(runs))


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


def render_gallery(
    runs: Sequence[Run],
    thumb: Thumb,
    *,
    link: Link | None = None,
    heading: str | None = None,
    note: str | None = None,
    reasons: Sequence[tuple[int, str]] = (),
    box: int = TILE_BOX,
) -> Rendering:
    """Every image of these runs as a tile `box` CSS pixels wide, captioned with what tells it from the others.

    `heading` stands above with the `reasons` for failures, `note` (how to see the rest, say) below. Keeping the number
    bounded is the caller's part.
    """
    tiles, lines = [], [heading or count(len(runs), "run")]
    for run, caption, names in zip(runs, captions(runs), image_names(runs), strict=True):
        tiles += _tiles(run, caption, pictures_of(run, thumb, box=box, link=link, names=names))
        end = reason_line(run, 100) or " ".join(file_of(image, link) for image in run.images)
        lines.append(f"  {chip(run).word:<10}  {caption}  {end}")
    lines += [f"  {number} {TIMES} {text}" for number, text in reasons]
    # Pictures are centred in frames of one height: as low as the tallest picture allows.
    frame = max([box // 2, *(tile.picture.height for tile in tiles if tile.picture)])
    html = fill("gallery.html", tiles=tiles, heading=heading, note=note, reasons=reasons, frame=frame, box=box)
    return {"text/plain": terminal_text([*lines, note] if note else lines), "text/html": html}


def summary_line(runs: Sequence[Run], progress: Progress | None = None) -> str:
    """`12 of 16 succeeded · 3 failed · 1 blocked · 4 of them earlier · 48 s · $0.48`.

    Of a sweep that found some of its runs in the log, the cost is what it added to it.
    """
    if not runs and progress is not None and not progress.total:
        return "Nothing was to be done."
    words = Counter(chip(run).word for run in runs)
    good = words.pop(str(Status.SUCCEEDED), 0)
    first = f"{good:,} of {len(runs):,} succeeded" if len(runs) != 1 or not good else "1 succeeded"
    others = [f"{number:,} {word}" for word, number in words.most_common()]
    simulated = ", simulated" if all(map(is_simulated, runs)) else ""
    if progress is not None and progress.skipped:
        earlier = f"{progress.skipped:,} of them earlier"
        cost = dollars(progress.cost if progress.done > progress.skipped else 0.0)
        return dot_list([first, *others, earlier, seconds(progress.elapsed), cost + simulated if cost else ""])
    costs = [run.cost for run in runs if run.cost is not None]
    elapsed = None if progress is None else progress.elapsed
    return dot_list([first, *others, seconds(elapsed), dollars(sum(costs)) + simulated if costs else ""])


def failures(runs: Sequence[Run]) -> list[tuple[int, str]]:
    """Each distinct reason why runs have no image, with how often it came; the most frequent first, a few at most."""
    reasons = Counter(
        f"{chip(run).word}: {reason_line(run, 200)}" for run in runs if run.status.is_terminal and why(run) is not None
    )
    most = [(number, text) for text, number in reasons.most_common(MOST_REASONS)]
    rest = sum(reasons.values()) - sum(number for number, _ in most)
    return [*most, (rest, "for other reasons")] if rest else most


def captions(runs: Sequence[Run]) -> list[str]:
    """For each run a caption that no other has.

    The slots and parameters that vary, and the prompt where runs of the same settings differ in it; runs that are
    still alike are numbered, as repeats where that tells them apart.
    """
    texts = [dot_list(one_line(value_text(item), MOST_OF_A_VALUE) for _, item in pairs) for pairs in what_varies(runs)]
    # Where several are the same, or one is empty, a number: the repeats' own where these differ.
    repeats: dict[str, list[int]] = {}
    for text, run in zip(texts, runs, strict=True):
        repeats.setdefault(text, []).append(run.request.repeat)
    numbers = {text: iter(of if len(set(of)) == len(of) else range(1, len(of) + 1)) for text, of in repeats.items()}
    is_numbered = {text: len(of) > 1 or not text for text, of in repeats.items()}
    return [dot_list([text, f"no. {next(numbers[text])}" if is_numbered[text] else ""]) for text in texts]


def _tiles(run: Run, caption: str, pictures: Sequence[Picture]) -> list[Tile]:
    """A tile for each image of the run, or one that says why there is none."""
    text = run.text or ""
    short, whole = (reason_line(run, most) or one_line(text, most) for most in (MOST_OF_A_REASON, MOST_TITLE))
    said = (chip(run), short, whole)
    figures = dot_list([seconds(run.total_s), cost_text(run)])
    title = one_line(run.request.prompt, 300)
    if not run.images:
        return [Tile(None, *said, caption, title, figures)]
    many = len(pictures)
    return [
        Tile(
            each,
            *said,
            f"{caption} ({number} of {many})" if many > 1 else caption,
            title,
            figures if number == 1 else "",
        )
        for number, each in enumerate(pictures, 1)
    ]


def _file_thumb(px: int) -> Thumb:
    """Thumbnails of the images' files; what makes them is heavy, and a terminal needs none."""
    from imagen_nb.views.thumbnails import thumb

    return thumb(px)
