"""Which journal the log is kept with.

A rollback journal, except in a new log where SQLite has no WAL-reset bug and the disk is this machine's own. A log that
is in WAL mode already is brought back from it by an SQLite that has the bug.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
import sys
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from imagen_nb.errors import LogError

_SWITCH_WAIT_MS = 2000
# fmt: off
_NETWORK = frozenset({
    "9p", "afs", "autofs", "beegfs", "ceph", "cifs", "coda", "davfs", "drvfs", "fakeowner", "gfs2", "glusterfs", "gpfs",
    "lustre", "ncpfs", "nfs", "nfs4", "ocfs2", "orangefs", "prl_fs", "pvfs2", "smb2", "smb3", "smbfs", "vboxsf",
    "virtiofs", "vmhgfs",
})
# fmt: on


def choose_journal(engine: sa.Engine, path: Path) -> None:
    """Set the journal of a new log, and leave WAL where it is not safe. Raises `LogError` where that cannot be done."""
    connection = engine.raw_connection()
    try:
        cursor = connection.cursor()
        mode = cursor.execute("PRAGMA journal_mode").fetchone()[0]
        is_new = cursor.execute("PRAGMA page_count").fetchone()[0] == 0
        is_safe = has_safe_wal(sqlite3.sqlite_version_info) and not is_network(path.resolve(), _mounts())
        if is_new and is_safe:
            with contextlib.suppress(sqlite3.OperationalError):  # a neighbour is making the same log: its choice holds
                cursor.execute("PRAGMA journal_mode = WAL")
        elif mode == "wal" and not is_safe:
            _leave_wal(cursor, path)
        cursor.close()
    finally:
        connection.close()


def _leave_wal(cursor: Any, path: Path) -> None:
    usual = cursor.execute("PRAGMA busy_timeout").fetchone()[0]
    cursor.execute(f"PRAGMA busy_timeout = {_SWITCH_WAIT_MS}")
    with contextlib.suppress(sqlite3.OperationalError):
        cursor.execute("PRAGMA journal_mode = DELETE")
    if cursor.execute("PRAGMA journal_mode").fetchone()[0] == "wal":
        raise LogError(
            f"another program has the log open in a mode (WAL) that SQLite {sqlite3.sqlite_version} may damage: {path}",
            "Close the other notebook first, or use the same Python in both.",
        )
    cursor.execute(f"PRAGMA busy_timeout = {usual}")


def has_safe_wal(version: tuple[int, ...]) -> bool:
    """Whether an SQLite of this version is free of the WAL-reset bug, which can damage a log with several writers."""
    branches = ((3, 44, 6), (3, 50, 7))
    return version >= (3, 51, 3) or any(version[:2] == fixed[:2] and version >= fixed for fixed in branches)


def is_network(path: Path, mounts: str) -> bool:
    """Whether a path lies on a network filesystem, by the text of `/proc/mounts`; without one, a UNC path does."""
    if str(path).startswith(("\\\\", "//")):
        return True
    kind, longest = "", -1
    for line in mounts.splitlines():
        fields = line.split(" ")
        point = Path(_unescaped(fields[1])) if len(fields) > 2 else None  # noqa: PLR2004 - device, point, type
        if point and len(point.parts) > longest and (path == point or point in path.parents):
            kind, longest = fields[2], len(point.parts)
    return kind in _NETWORK or kind.startswith("fuse")


def _mounts() -> str:
    if not sys.platform.startswith("linux"):
        return ""
    try:
        return Path("/proc/mounts").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _unescaped(text: str) -> str:
    """A mount point as `/proc/mounts` writes it, with an octal number for a space."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)
