from __future__ import annotations

import inspect
import subprocess
import sys

import pandas as pd

HEAVY = ("PIL", "jinja2", "pyarrow", "requests", "sqlalchemy")


def test_importing_it_costs_little() -> None:
    """Giving frames their accessor needs pandas and nothing else that is heavy; the rest comes on first use."""
    code = "import pandas, sys; before = set(sys.modules); import imagen_nb.accessor; print(*set(sys.modules) - before)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "imagen_nb.accessor" in done.stdout.split()
    assert not set(done.stdout.split()) & set(HEAVY)


def test_every_word_of_the_accessor_is_explained() -> None:
    """Tab and `?` on df.imagen show its verbs, each with its manual."""
    accessor = pd.DataFrame({"a": [1]}).imagen
    words = [name for name in dir(accessor) if not name.startswith("_")]
    assert {"compare", "export", "gallery", "grid", "report", "summary", "table"} <= set(words)
    assert all(len(inspect.getdoc(getattr(accessor, name)) or "") > 40 for name in words)
