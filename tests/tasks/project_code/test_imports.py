"""Each project file is imported alone, with its own settings and the modules that lie beside it."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sklearn

from refit.errors import BrokenProject
from refit_tasks.catalog import discover, find_project
from refit_tasks.project_code.declaration import declared_name
from refit_tasks.project_code.files import code_files, code_hash, code_matches

FILE = """
from sklearn.dummy import DummyRegressor
from refit import Project
{head}
def load(window):
    {load}

project = Project(name="{name}", kind="regression", target="y", timestamp="t", load=load, build={build})
"""


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "mine"
    folder.mkdir()
    monkeypatch.setenv("REFIT_PROJECTS", str(folder))
    return folder


def write(directory: Path, name: str, head: str = "", load: str = "return []", build: str = "DummyRegressor") -> Path:
    file = directory / f"{name}.py"
    file.write_text(FILE.format(name=name, head=head, load=load, build=build))
    return file


def test_finding_a_project_runs_no_other_file(directory: Path, tmp_path: Path) -> None:
    write(directory, "bikes")
    trace = tmp_path / "ran"
    write(directory, "cars", head=f"open({str(trace)!r}, 'w').close()")
    assert find_project("bikes").name == "bikes"
    assert not trace.exists()


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('project = Project(name="a")', "a"),
        ('NAME = "a"\nproject: Project = Project(kind="regression", name=NAME)', "a"),
        ('project = Project(name="x")\nproject = refit.Project(name="a")', "a"),
        ('project = Project(name="a" + "b")', None),
        ("project = make()", None),
        ("project = (", None),
    ],
)
def test_a_name_is_read_without_running_the_file(tmp_path: Path, text: str, name: str | None) -> None:
    (tmp_path / "file.py").write_text(text)
    assert declared_name(tmp_path / "file.py") == name


def test_a_project_whose_name_is_computed_is_found(directory: Path) -> None:
    file = write(directory, "bikes")
    file.write_text(file.read_text().replace('"bikes"', '"bi" + "kes"'))
    write(directory, "cars")
    assert find_project("bikes").file == file


SETTINGS = {
    "scikit-learn": ("import sklearn; sklearn.set_config(transform_output='pandas')", sklearn.get_config),
    "pandas": ("import pandas as pd; pd.set_option('display.max_rows', 7)", lambda: pd.get_option("display.max_rows")),
    "numpy": ("import numpy as np; np.seterr(all='raise')", lambda: dict(np.geterr())),
    "warnings": ("import warnings; warnings.simplefilter('always')", lambda: list(warnings.filters)),
    "directory": ("import os; os.chdir('/')", Path.cwd),
}


@pytest.mark.parametrize("kind", SETTINGS)
def test_global_settings_of_a_file_are_kept_to_its_project(directory: Path, kind: str) -> None:
    line, read = SETTINGS[kind]
    write(directory, "sets", head=f"{line}\nREAD = None", load="return READ()")
    before = read()
    project = find_project("sets")
    assert read() == before
    project.load.__globals__["READ"] = read  # as `run_with` keeps the function's module
    project.load.__wrapped__.__globals__["READ"] = read
    assert project.load(None) != before
    assert read() == before


def test_an_estimator_keeps_the_output_format_that_its_file_asks_for(directory: Path) -> None:
    head = "import sklearn\nfrom sklearn.preprocessing import StandardScaler\n"
    write(
        directory, "sets", head=head + "sklearn.set_config(transform_output='pandas')", build="lambda: StandardScaler()"
    )
    write(directory, "plain", head=head, build="lambda: StandardScaler()")
    frame = pd.DataFrame({"a": [1.0, 2.0]})
    assert isinstance(find_project("sets").build().fit_transform(frame), pd.DataFrame)
    assert isinstance(find_project("plain").build().fit_transform(frame), np.ndarray)


def test_a_file_without_settings_keeps_its_functions(directory: Path) -> None:
    write(directory, "bikes")
    project = find_project("bikes")
    assert sys.modules[project.load.__module__].load is project.load


def test_modules_and_packages_beside_a_file_are_imported_and_part_of_its_code(directory: Path) -> None:
    (directory / "lags.py").write_text("from shared.steps import STEPS\nLAG = 24 * STEPS\n")
    (directory / "shared").mkdir()
    (directory / "shared" / "steps.py").write_text("STEPS = 2\n")
    (directory / "unrelated.py").write_text("raise SystemError\n")
    file = write(directory, "bikes", head="from lags import LAG", load="import lags; return [LAG, lags.LAG]")
    assert find_project("bikes").load(None) == [48, 48]
    assert [one.name for one in code_files(file)] == ["bikes.py", "lags.py", "steps.py"]
    assert not list(directory.rglob("__pycache__"))


def test_a_changed_module_beside_the_file_is_imported_again(directory: Path) -> None:
    (directory / "lags.py").write_text("LAG = 1\n")
    file = write(directory, "bikes", head="from lags import LAG", load="return LAG")
    assert find_project("bikes").load(None) == 1
    before = code_hash(file)
    (directory / "lags.py").write_text("LAG = 2\n")
    assert find_project("bikes").load(None) == 2
    assert code_hash(file) != before


def test_two_directories_may_have_modules_of_one_name(directory: Path, tmp_path: Path) -> None:
    for number, folder in enumerate((directory, tmp_path)):
        (folder / "lags.py").write_text(f"LAG = {number}\n")
        write(folder, "bikes", head="from lags import LAG", load="return LAG")
    for number, folder in enumerate((directory, tmp_path, directory)):
        assert discover(folder).projects["bikes"].load(None) == number % 2


@pytest.mark.parametrize("name", ["json", "numpy"])
def test_a_module_that_an_installed_one_hides_is_named(directory: Path, name: str) -> None:
    (directory / f"{name}.py").write_text("")
    write(directory, "bikes", head=f"import {name}")
    with pytest.raises(BrokenProject, match=rf"{name}\.py has the name of an installed module.*rename the file"):
        find_project("bikes")


def test_the_hash_covers_names_and_former_hashes_still_hold(directory: Path) -> None:
    (directory / "_shared.py").write_text("A = 1\n")
    file = write(directory, "bikes", head="from _shared import A")
    former = "5" * 64
    assert not code_matches(file, former)
    import hashlib

    former = hashlib.sha256(file.read_bytes() + b"\0" + b"A = 1\n").hexdigest()
    assert code_matches(file, former)
    before = code_hash(file)
    (directory / "_shared.py").rename(directory / "_other.py")
    assert code_matches(file, former)  # a former hash does not cover names
    assert code_hash(file) != before
