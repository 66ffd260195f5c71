"""The wheel holds everything it needs, and works when it is installed alone."""

from __future__ import annotations

import re
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

from imagen_nb.cli.notebooks import INSTALL

pytestmark = pytest.mark.xdist_group("packaging")  # one wheel for all of them

ROOT = Path(__file__).resolve().parents[1]


def built(kind: str, folder: Path) -> Path:
    """The `wheel` or `sdist` built from this tree."""
    command = [sys.executable, "-m", "build", f"--{kind}", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (made,) = folder.iterdir()
    return made


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel built from this tree."""
    return built("wheel", tmp_path_factory.mktemp("dist"))


def test_wheel_holds_every_file_of_the_package(wheel: Path) -> None:
    """Modules, templates, assets and catalogues: what is in the tree is in the wheel, and nothing of the tests."""
    names = set(zipfile.ZipFile(wheel).namelist())
    kinds = (".py", ".html", ".css", ".js", ".json", ".svg", ".typed")
    tree = {path.relative_to(ROOT).as_posix() for path in (ROOT / "imagen_nb").rglob("*") if path.suffix in kinds}
    assert {name for name in tree if "__pycache__" not in name} <= names
    others = [*(ROOT / "notebooks").glob("*.ipynb"), *(ROOT / "docs").glob("*.md")]
    beside = {f"imagen_nb/{path.relative_to(ROOT).as_posix()}" for path in others}
    assert {"imagen_nb/py.typed", "imagen_nb/planning/catalogue/google--imagen-4.json", *beside} <= names
    assert any(name.startswith("imagen_nb/views/templates/") for name in names)
    assert not [name for name in names if name.startswith(("tests/", "notebooks/"))]
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_extras_can_be_installed(wheel: Path) -> None:
    """Every `imagen-nb[extra]` of a page and of a hint is one that the wheel has, and it brings what they say."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (each for each in archive.namelist() if each.endswith(".dist-info/METADATA"))
        about = Parser().parsestr(archive.read(name).decode())
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    texts = [*(page.read_text(encoding="utf-8") for page in pages), INSTALL]
    brought = {"jupyterlab": "lab", "ipykernel": "lab", "nbclient": "lab", "pyarrow": "parquet", "rapidocr": "ocr"}
    assert set(re.findall(r"imagen-nb\[(\w+)\]", " ".join(texts))) == set(brought.values())
    for package, extra in brought.items():
        assert any(re.match(rf"{package}\b.*extra == '{extra}'", each) for each in about.get_all("Requires-Dist", []))


def test_sdist_holds_what_the_readme_links_to(tmp_path: Path) -> None:
    """The pictures and files that the README links to are in the source archive beside it."""
    with tarfile.open(built("sdist", tmp_path)) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    links = re.findall(r"\]\(([^)#:]+)\)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert links
    assert {"README.md", "tests/test_packaging.py", *links} <= names


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


def test_installed_alone_it_has_the_next_notebook(installed: Path, tmp_path: Path) -> None:
    """What `imagen-nb demo` puts beside the quickstart can be had without a checkout."""
    code = (
        "from pathlib import Path; from imagen_nb.cli import notebooks as n;print(n.copy_notebook(n.COMPARE, Path()))"
    )
    command = [str(installed / "python"), "-I", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    kept = (ROOT / "notebooks" / "02_compare.ipynb").read_text(encoding="utf-8")
    assert (tmp_path / done.stdout.strip()).read_text(encoding="utf-8") == kept


def test_installed_alone_it_makes_an_image(installed: Path, tmp_path: Path) -> None:
    """`imagen-nb run` in a fresh environment and an empty folder makes an image and a row."""
    done = ran(installed, "run", "-m", "google/imagen-4-fast", "a red fox in snow", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "imagen_runs" / "images").rglob("*.jpg"))
    assert "a red fox in snow" in ran(installed, "log", cwd=tmp_path).stdout
