"""The wheel holds everything it needs, and works when it is installed alone."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.xdist_group("packaging")  # one wheel for all of them

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel built from this tree."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("*.whl")
    return built


def test_wheel_holds_every_file_of_the_package(wheel: Path) -> None:
    """Modules, templates, assets and catalogues: what is in the tree is in the wheel, and nothing of the tests."""
    names = set(zipfile.ZipFile(wheel).namelist())
    kinds = (".py", ".html", ".css", ".js", ".json", ".svg")
    tree = {path.relative_to(ROOT).as_posix() for path in (ROOT / "imagen_nb").rglob("*") if path.suffix in kinds}
    assert {name for name in tree if "__pycache__" not in name} <= names
    assert {"imagen_nb/core/catalogue.json", "imagen_nb/notebooks/01_quickstart.ipynb"} <= names
    assert any(name.startswith("imagen_nb/view/templates/") for name in names)
    assert not [name for name in names if name.startswith(("tests/", "notebooks/"))]
    assert any(name.endswith("licenses/LICENSE") for name in names)


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of commands of a fresh environment with the wheel in it; its dependencies are this one's."""
    folder = tmp_path_factory.mktemp("venv")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    site = Path(sysconfig.get_path("purelib", "venv", {"base": str(folder), "platbase": str(folder)}))
    target = ["--target", str(site), "--no-deps", "--no-compile", "--quiet", "--disable-pip-version-check"]
    subprocess.run([sys.executable, "-m", "pip", "install", *target, str(wheel)], check=True)
    # A path in a .pth file is not searched for further .pth files, so an editable install of this tree is not seen.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin"


def ran(installed: Path, *words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [str(installed / "python"), "-I", "-m", "imagen_nb", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd, timeout=120)


def test_installed_wheel_is_the_one_that_runs(installed: Path, tmp_path: Path) -> None:
    """The package comes from the fresh environment and not from this tree."""
    code = "import imagen_nb, sys; print(imagen_nb.__file__)"
    command = [str(installed / "python"), "-I", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert Path(done.stdout.strip()).is_relative_to(installed.parent)


def test_installed_alone_it_makes_an_image(installed: Path, tmp_path: Path) -> None:
    """`imagen-nb run` in a fresh environment and an empty folder makes an image and a row."""
    done = ran(installed, "run", "-m", "google/imagen-4-fast", "a red fox in snow", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "imagen_runs" / "images").rglob("*.jpg"))
    assert "a red fox in snow" in ran(installed, "log", cwd=tmp_path).stdout
