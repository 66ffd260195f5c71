"""`imagen-nb log` and `imagen-nb doctor`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from imagen_nb.cli import main
from imagen_nb.simulator import Simulator

Command = Callable[..., int]


# -- log ---------------------------------------------------------------------------------------------------------------


def test_log_is_a_table_of_eighty_columns(
    logged: Command, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each run is a line, each failure has its reason below, nothing is wider than the terminal."""
    monkeypatch.setenv("COLUMNS", "80")
    assert logged("log") == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].split() == ["run", "status", "time", "cost", "model", "prompt"]
    assert lines[-1] == "4 runs"
    assert sum("E005" in line or "flagged" in line for line in lines) == 1


def test_log_filters(logged: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """By experiment, by status and by number, together too, in the magic's own short forms as well."""
    for words, last in (
        (["--experiment", "zoo"], "3 runs"),
        (["--status", "failed"], "2 runs"),
        (["--status", "blocked"], "1 run"),
        (["--experiment", "zoo", "--status", "succeeded"], "1 run"),
        (["--last", "2"], "4 runs, the newest 2 shown (--last N shows N)"),
        (["--experiment", "none"], "0 runs"),
        (["-e", "zoo", "-n", "1"], "3 runs, the newest 1 shown (--last N shows N)"),
    ):
        assert logged("log", *words) == 0
        assert capsys.readouterr().out.splitlines()[-1] == last


def test_log_goes_to_files(logged: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """CSV, Parquet and a report, in one go, with the same rows."""
    import pandas as pd

    csv, parquet, report = (tmp_path / name for name in ("log.csv", "log.parquet", "log.html"))
    assert logged("log", "--csv", str(csv), "--parquet", str(parquet), "--html", str(report), "--last", "3") == 0
    assert capsys.readouterr().out.count("3 runs written to") == 3
    assert len(pd.read_csv(csv)) == 3
    assert pd.read_parquet(parquet)["status"].tolist() == ["failed", "failed", "succeeded"]
    assert "an owl" in report.read_text(encoding="utf-8")


@pytest.mark.parametrize("words", [["--csv", "log.txt"], ["--html", "/no/such/folder/log.html"]])
def test_log_to_a_file_that_cannot_be(
    logged: Command, capsys: pytest.CaptureFixture[str], words: list[str], elsewhere: Path
) -> None:
    """A file with a misleading name, or in a folder that is not there, is refused in two lines."""
    assert logged("log", *words) == 2
    assert len(capsys.readouterr().err.splitlines()) == 2
    assert not list(elsewhere.glob("log.*"))


# -- doctor ------------------------------------------------------------------------------------------------------------


def test_doctor_finds_nothing_wrong(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a token the simulator is in force, and all is well; nothing is made by looking."""
    monkeypatch.chdir(tmp_path)
    assert main(["--home", str(home), "doctor"]) == 0
    out = capsys.readouterr().out
    assert "BAD" not in out
    for word in ("simulator", "none needed", "reachable", "journal", "SQLite", "pandas"):
        assert word in out
    assert not list(tmp_path.iterdir())


def test_doctor_checks_a_log_that_is_there(logged: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """A home with runs is opened and verified."""
    assert logged("doctor") == 0
    assert "4 runs" in " ".join(capsys.readouterr().out.split())  # a long path may put them on two lines


@pytest.mark.parametrize(
    ("provider", "broken"), [("http://127.0.0.1:9", "reachable"), ("kkiai", "provider"), ("nobody", "provider")]
)
def test_doctor_names_what_is_broken(
    home: Path, capsys: pytest.CaptureFixture[str], provider: str, broken: str
) -> None:
    """No such provider, no token, no answer: exit code 1, and the line is marked."""
    assert main(["--home", str(home), "--provider", provider, "doctor"]) == 1
    marked = [line.split()[1] for line in capsys.readouterr().out.splitlines() if line.startswith("BAD")]
    assert marked == [broken]


def test_doctor_finds_a_home_that_cannot_be(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file stands where the folder should be."""
    home.write_text("in the way")
    assert main(["--home", str(home), "doctor"]) == 1
    assert "BAD  home" in capsys.readouterr().out


def test_doctor_never_shows_the_token(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A refused token is said to be refused, and not one letter of it is printed."""
    monkeypatch.setenv("IMAGEN_NB_TOKEN", "canary-wrong-token")
    with Simulator(token="the-right-one") as strict:
        assert main(["--home", str(home), "--provider", strict.base_url, "doctor"]) == 1
    out, err = capsys.readouterr()
    assert "BAD  reachable" in out
    assert "found (it is never shown)" in out
    assert "canary" not in out + err
