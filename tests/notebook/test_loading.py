"""Loading the extension: quick, without what is heavy, and undone without a trace."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from shells import session

HEAVY = ("pandas", "ipywidgets", "sqlalchemy", "PIL", "requests", "jinja2", "numpy")

LOAD = """
import json, sys
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
before = set(sys.modules)
shell.run_line_magic("load_ext", "imagen_nb")
print(json.dumps({"new": sorted(set(sys.modules) - before)}))
"""


def loaded(folder: Path) -> dict[str, Any]:
    command = [sys.executable, "-W", "ignore", "-c", LOAD]
    environment = {"IPYTHONDIR": str(folder), "HOME": str(folder), "PATH": ""}
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder, env=environment)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def test_loading_is_light(tmp_path: Path) -> None:
    """`%load_ext imagen_nb` imports nothing heavy, and makes no folder."""
    seen = loaded(tmp_path)
    assert not [name for name in seen["new"] if name in HEAVY or name.startswith("pandas.")]
    assert not (tmp_path / "imagen_runs").exists()


def test_unloading_leaves_nothing(tmp_path: Path) -> None:
    """After `%unload_ext` no magic, matcher, transformer or setting is left, and loading again works."""
    with session(tmp_path, load=False) as notebook:
        shell = notebook.shell
        shell.find_line_magic("load_ext")  # IPython's own magics arrive when they are first used
        before = snapshot(shell)
        for _ in range(2):
            shell.run_line_magic("load_ext", "imagen_nb")
            assert "imagen" in shell.magics_manager.magics["line"]
            assert "imagen" in shell.magics_manager.magics["cell"]
            shell.run_line_magic("unload_ext", "imagen_nb")
            assert snapshot(shell) == before


def test_loading_twice_changes_nothing(tmp_path: Path) -> None:
    """Loading a loaded extension, or reloading it, leaves one of everything."""
    with session(tmp_path) as notebook:
        shell = notebook.shell
        once = snapshot(shell)
        shell.run_line_magic("load_ext", "imagen_nb")
        assert snapshot(shell) == once
        shell.run_line_magic("reload_ext", "imagen_nb")
        assert [len(part) for part in snapshot(shell)] == [len(part) for part in once]


def test_frames_have_pictures(tmp_path: Path) -> None:
    """A frame that never came from the log has `.imagen` too, in the very cell that imports pandas."""
    program = (
        "import sys; from IPython.core.interactiveshell import InteractiveShell; shell = InteractiveShell.instance();"
        "shell.run_line_magic('load_ext', 'imagen_nb'); assert 'pandas' not in sys.modules;"
        "shell.run_cell('import pandas as pd; kind = type(pd.DataFrame().imagen).__name__', silent=False);"
        "print(shell.user_ns['kind'])"
    )
    command = [sys.executable, "-W", "ignore", "-c", program]
    environment = {"IPYTHONDIR": str(tmp_path), "HOME": str(tmp_path), "PATH": ""}
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path, env=environment)
    assert done.stdout.splitlines()[-1] == "ImagenAccessor"


def test_unloading_lets_pandas_alone(tmp_path: Path) -> None:
    """After `%unload_ext` the import of pandas is not watched any more, and after loading again it is."""
    program = (
        "import sys; from IPython.core.interactiveshell import InteractiveShell; shell = InteractiveShell.instance();"
        "before = list(sys.meta_path);"
        "shell.run_line_magic('load_ext', 'imagen_nb'); assert len(sys.meta_path) == len(before) + 1;"
        "shell.run_line_magic('unload_ext', 'imagen_nb'); assert sys.meta_path == before;"
        "import pandas; assert not hasattr(pandas.DataFrame, 'imagen');"
        "shell.run_line_magic('load_ext', 'imagen_nb'); assert sys.meta_path == before;"
        "print(type(pandas.DataFrame().imagen).__name__)"
    )
    command = [sys.executable, "-W", "ignore", "-c", program]
    environment = {"IPYTHONDIR": str(tmp_path), "HOME": str(tmp_path), "PATH": ""}
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path, env=environment)
    assert done.stdout.splitlines()[-1] == "ImagenAccessor"


def test_colab_lets_the_widgets_in(tmp_path: Path) -> None:
    """Colab shows widgets of others only once it was asked to: the first one of ours does."""
    program = (
        "import sys, types; asked = []; colab = types.ModuleType('google.colab.output');"
        "colab.enable_custom_widget_manager = lambda: asked.append('asked');"
        "sys.modules['google.colab.output'] = colab; import imagen_nb; assert not asked;"
        "imagen_nb.panel().close(); print(*asked)"
    )
    command = [sys.executable, "-W", "ignore", "-c", program]
    environment = {"IPYTHONDIR": str(tmp_path), "HOME": str(tmp_path), "PATH": ""}
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path, env=environment)
    assert done.stdout.splitlines()[-1] == "asked"


def snapshot(shell: Any) -> list[list[Any]]:
    return [
        sorted(shell.magics_manager.magics["line"]),
        sorted(shell.magics_manager.magics["cell"]),
        sorted(shell.magics_manager.registry),
        list(shell.configurables),
        list(shell.input_transformers_cleanup),
        list(shell.Completer.custom_matchers),
        list(shell.display_formatter.ipython_display_formatter.deferred_printers),
        list(shell.display_formatter.mimebundle_formatter.deferred_printers),
        list(shell.events.callbacks["pre_run_cell"]),
    ]
