"""Importing the package costs nothing, names what it says, and the rooms import only downwards."""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import imagen_nb

ROOT = Path(__file__).resolve().parents[1]
HEAVY = {
    "IPython",
    "PIL",
    "anywidget",
    "filelock",
    "ipywidgets",
    "jinja2",
    "numpy",
    "pandas",
    "requests",
    "sqlalchemy",
    "sqlite3",
    "ssl",
    "urllib3",
}
FOOTPRINT = "import json, os, sys; before = set(sys.modules); {}; print(json.dumps(sorted(set(sys.modules) - before)))"


def modules_after(statement: str, *, cwd: Path = ROOT) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", FOOTPRINT.format(statement)], capture_output=True, text=True, check=True, cwd=cwd
    )
    loaded: list[str] = json.loads(done.stdout)
    return loaded


def test_import_loads_nothing_heavy() -> None:
    """`import imagen_nb` loads the package itself and nothing of what it will need."""
    loaded = {name.partition(".")[0] for name in modules_after("import imagen_nb")}
    assert not loaded & HEAVY


WATCH = """
import os, sys

seen = []

class Watched(dict):
    def get(self, name, default=None):
        seen.append(name)
        return super().get(name, default)
    __getitem__ = get

def listen(event, given):
    if event.startswith("socket.") or (event == "open" and set(str(given[1])) & set("wax+")):
        seen.append(event)

sys.addaudithook(listen)
os.environ = Watched(os.environ)
import imagen_nb
ours = [each for each in seen if each.startswith(("socket", "open", "IMAGEN", "KKIAI", "REPLICATE"))]
assert not ours, ours
"""


def test_import_touches_no_file_network_or_environment(tmp_path: Path) -> None:
    """Importing opens no socket, writes no file and reads no variable of ours."""
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "IMAGEN_NB_PROVIDER": "no such provider"}
    subprocess.run([sys.executable, "-c", WATCH], check=True, cwd=tmp_path, env=environment)
    assert not list(tmp_path.iterdir())


HELPER = "import pandas as pd\n\ndef look(): return type(pd.DataFrame({'a': [1]}).imagen).__name__\n"


@pytest.mark.parametrize(
    "program",
    [
        "import imagen_nb, helper; print(helper.look())",
        "import helper, imagen_nb; print(helper.look())",
        "import imagen_nb, importlib.util as u; u.find_spec('pandas'); import helper; print(helper.look())",
        "from imagen_nb import plan; import pandas, inspect, helper; inspect.getsource(pandas); print(helper.look())",
        "import imagen_nb, pandas.io.json, helper; print(helper.look())",
    ],
)
def test_frames_have_pictures_whoever_imports_pandas(tmp_path: Path, program: str) -> None:
    """In a script that imported the package, before pandas or behind it, a frame of any module has `.imagen`."""
    (tmp_path / "helper.py").write_text(HELPER)
    watched = f"import sys; before = list(sys.meta_path); {program}; assert sys.meta_path == before"
    done = subprocess.run(
        [sys.executable, "-c", watched], capture_output=True, text=True, check=True, cwd=tmp_path, env=path_to(tmp_path)
    )
    assert done.stdout == "ImagenAccessor\n"


def test_pandas_that_cannot_be_imported_fails_as_it_would(tmp_path: Path) -> None:
    """Its own error comes through, and the next try is watched again."""
    (tmp_path / "pandas.py").write_text("raise ImportError('broken')")
    program = (
        "import imagen_nb\n"
        "for _ in range(2):\n"
        "    try: import pandas\n"
        "    except ImportError as error: print(error)\n"
        "import os, sys; os.remove('pandas.py'); sys.path_importer_cache.clear(); import pandas\n"
        "print(pandas.DataFrame().imagen is not None)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path, env=path_to(tmp_path)
    )
    assert done.stdout == "broken\nbroken\nTrue\n"


def path_to(folder: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}", "PYTHONDONTWRITEBYTECODE": "1"}


def test_no_room_is_called_like_a_public_name() -> None:
    """A module takes the package's attribute of its name as soon as it is imported, and a function would be gone."""
    rooms = {path.stem for path in Path(imagen_nb.__file__).parent.iterdir()}
    assert not rooms & set(imagen_nb.__all__)


def test_all_is_sorted_and_everything_in_it_resolves() -> None:
    """`__all__` is in order, without doubles, and each name in it exists."""
    assert imagen_nb.__all__ == sorted(set(imagen_nb.__all__))
    for name in imagen_nb.__all__:
        assert getattr(imagen_nb, name) is not None
    assert set(imagen_nb.__all__) <= set(dir(imagen_nb))


def test_every_module_says_what_it_is_and_can_be_imported() -> None:
    """Each module has a docstring and imports on its own."""
    for path in sorted((ROOT / "imagen_nb").rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        assert importlib.import_module(name).__doc__, f"{name} has no docstring"


def test_version_is_the_distributions() -> None:
    """`__version__` and pyproject.toml say the same."""
    declared = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert declared
    assert imagen_nb.__version__ == declared[1]


def test_rooms_import_only_from_below() -> None:
    """The import contracts of pyproject.toml hold."""
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"]
    done = subprocess.run([*command, "--no-cache"], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout


def test_only_the_named_rooms_import_the_named_libraries() -> None:
    """requests stays in api, SQLAlchemy in log, and the environment is read in settings alone."""
    reads = re.compile(r"os\.environ(\.get|\[)|os\.getenv")
    for path in (ROOT / "imagen_nb").rglob("*.py"):
        text, room = path.read_text(), path.relative_to(ROOT / "imagen_nb").parts[0]
        assert room == "settings.py" or not reads.search(text), path
        assert room == "api" or not re.search(r"^\s*(import|from) requests", text, re.MULTILINE), path
        assert room == "log" or not re.search(r"^\s*(import|from) sqlalchemy", text, re.MULTILINE), path
