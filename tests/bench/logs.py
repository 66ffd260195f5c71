"""A log of many runs, written in bulk: what reading it costs does not depend on how it came about."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from itertools import islice
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from imagen_nb.log.log import Log
from imagen_nb.log.schema import images, runs
from imagen_nb.planning.models import catalogue_spec
from imagen_nb.planning.plan import plan

NOON = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
SIZE = {"width": 1024, "height": 1024, "bytes": 165_000, "mime": "image/jpeg"}


def requests(count: int) -> Any:
    """`count` requests over two slots and two parameters."""
    words = [f"word{number}" for number in range(-(-count // 40))]
    made = plan(
        "a {animal} in {style}, a study in pale light with long shadows",
        catalogue_spec,
        animal=words,
        style=["oil", "ink", "chalk", "gouache"],
        aspect_ratio=["1:1", "16:9", "9:16", "3:4", "4:3"],
        output_format=["jpg", "png"],
        model="google/imagen-4",
    )
    return islice(iter(made), count)


def fill(log: Log, count: int, files: list[tuple[str, Path]] | None = None) -> list[str]:
    """Write `count` succeeded runs, the last 100 of them in the experiment `tiny`; `files` are (hash, path) in turn."""
    asked = list(requests(count))
    run_ids = log.intend(asked[:-100], provider="simulator", experiment="large") if count > 100 else []
    run_ids += log.intend(asked[-100:], provider="simulator", experiment="tiny")
    with log._database.writing() as conn:
        times = {"created_at": NOON, "started_at": NOON, "completed_at": NOON + timedelta(seconds=9)}
        done = {"status": "succeeded", "seen": "succeeded", "owner": None, "total_s": 9.0, "predict_s": 8.5}
        price = {"cost": 0.04, "cost_source": "list price", "echo": {"safety_filter_level": "block_only_high"}}
        conn.execute(sa.update(runs).values(**times, **done, **price))
        rows = conn.execute(sa.select(runs.c.seq).order_by(runs.c.seq)).scalars()
        conn.execute(sa.insert(images), [_image(log, place, row, files) for place, row in enumerate(rows)])
    return run_ids


def _image(log: Log, place: int, row: int, files: list[tuple[str, Path]] | None) -> dict[str, Any]:
    digest = f"{place:064x}"
    file = f"images/{digest[:2]}/{digest}.jpg"
    if files:
        digest, path = files[place % len(files)]
        file = path.relative_to(log.home).as_posix()
    return {"run": row, "position": 0, "sha256": digest, "file": file, **SIZE}
