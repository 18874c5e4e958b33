"""Project files are found by reading a directory; a broken one is named and stops only itself."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from refit.errors import BrokenProject, ProjectError, UnknownProject
from refit_tasks.catalog import declares_project, discover, find_project

GOOD = '''"""Rents bikes.

More about it.
"""
from __future__ import annotations
from dataclasses import dataclass

from sklearn.dummy import DummyRegressor
from refit import Project


@dataclass
class Row:
    """A type of the file's own."""

    count: int


def load(window):
    return []


project = Project(name="bikes", kind="regression", target="y", timestamp="t", load=load, build=DummyRegressor)
'''


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "mine"
    folder.mkdir()
    monkeypatch.setenv("REFIT_PROJECTS", str(folder))
    return folder


def test_a_project_gets_its_file_and_its_description(directory: Path) -> None:
    (directory / "rental.py").write_text(GOOD)
    found = find_project("bikes")
    assert (found.file, found.description) == (directory / "rental.py", "Rents bikes.")


def test_a_description_of_its_own_stays(directory: Path) -> None:
    (directory / "rental.py").write_text(GOOD.replace('name="bikes"', 'name="bikes", description="Mine"'))
    assert find_project("bikes").description == "Mine"


def test_functions_of_the_file_are_found_by_their_module(directory: Path) -> None:
    (directory / "rental.py").write_text(GOOD)
    load = find_project("bikes").load
    assert sys.modules[load.__module__].load is load


def test_a_file_is_read_again_when_it_has_changed_and_only_then(directory: Path) -> None:
    file = directory / "rental.py"
    file.write_text(GOOD)
    first = find_project("bikes")
    assert find_project("bikes").load is first.load
    file.write_text(GOOD.replace('target="y"', 'target="z"'))
    assert find_project("bikes").target == "z"


def test_the_same_file_name_in_another_directory_is_another_project(directory: Path, tmp_path: Path) -> None:
    (directory / "rental.py").write_text(GOOD)
    (tmp_path / "rental.py").write_text(GOOD)
    for folder in (directory, tmp_path):
        load = discover(folder).projects["bikes"].load
        assert load.__globals__["__file__"] == str(folder / "rental.py")


def test_nothing_is_written_beside_the_files(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    (directory / "rental.py").write_text(GOOD)
    discover(directory)
    assert [file.name for file in directory.iterdir()] == ["rental.py"]


def test_other_files_are_left_alone(directory: Path) -> None:
    for name in ("__init__.py", "_shared.py", ".hidden.py", "notes.txt"):
        (directory / name).write_text("raise SystemError")
    catalog = discover(directory)
    assert (catalog.projects, catalog.broken) == ({}, {})


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("x = 1\ndef load(:\n", "line 2: SyntaxError: invalid syntax"),
        ("import numpy\n\nimport no_such_package\n", "line 3: ModuleNotFoundError: No module named 'no_such_package'"),
        ("def f():\n    return {}['a']\nf()\n", "line 2: KeyError: 'a'"),
        ("raise SystemExit(3)\n", "line 1: SystemExit: 3"),
        ("x = 1\n", r"defines no project: it needs a value `project = Project\(...\)`"),
        ("project = 'bikes'\n", "defines no project"),
        (GOOD.replace('"y"', '"t"'), "line 23: Project is not valid .*target and timestamp are both 't'"),
        (GOOD.replace('kind="regression"', 'kynd="regression"'), "kind: Field required; kynd: Extra inputs"),
        (GOOD.replace("bikes", "../bikes"), "name: String should match pattern"),
    ],
    ids=["syntax", "import", "exception", "exit", "none", "type", "roles", "misspelt", "name"],
)
def test_a_broken_file_is_named_and_stops_only_its_project(text: str, sentence: str, directory: Path) -> None:
    (directory / "good.py").write_text(GOOD.replace("bikes", "good"))
    (directory / "bikes.py").write_text(text)
    assert find_project("good").name == "good"
    with pytest.raises(BrokenProject, match=sentence) as raised:
        find_project("bikes")
    assert str(directory / "bikes.py") in str(raised.value)
    assert "\n" not in str(raised.value)
    assert list(discover(directory).broken) == [directory / "bikes.py"]


def test_a_file_of_bytes_is_broken(directory: Path) -> None:
    (directory / "bikes.py").write_bytes(b"\xff\x00\xfe")
    with pytest.raises(BrokenProject, match=r"bikes\.py"):
        find_project("bikes")


def test_a_broken_file_with_another_name_is_found_by_its_text(directory: Path) -> None:
    (directory / "rental.py").write_text(GOOD + "\n)")
    with pytest.raises(BrokenProject, match="SyntaxError"):
        find_project("bikes")


def test_a_file_that_breaks_after_it_was_read_is_not_served_from_memory(directory: Path) -> None:
    (directory / "rental.py").write_text(GOOD)
    find_project("bikes")
    (directory / "rental.py").write_text(GOOD + "\n)")
    with pytest.raises(BrokenProject):
        find_project("bikes")


def test_two_files_with_one_name_stop_both_and_no_third(directory: Path) -> None:
    for name in ("a.py", "b.py"):
        (directory / name).write_text(GOOD)
    (directory / "c.py").write_text(GOOD.replace("bikes", "cars"))
    with pytest.raises(BrokenProject, match=r"a\.py and .*b\.py define .*'bikes': rename one"):
        find_project("bikes")
    assert find_project("cars").name == "cars"


def test_an_unknown_name_shows_the_known_ones(directory: Path) -> None:
    (directory / "rental.py").write_text(GOOD)
    (directory / "other.py").write_text("1 / 0")
    with pytest.raises(UnknownProject, match=r"'bike': did you mean 'bikes'\? .*holds bikes; .*other\.py"):
        find_project("bike")
    with pytest.raises(UnknownProject, match="holds bikes"):
        find_project("../../etc/passwd")


def test_a_missing_directory_names_its_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REFIT_PROJECTS", str(tmp_path / "none"))
    with pytest.raises(ProjectError, match=r"none cannot be read \(No such file or directory\): .*REFIT_PROJECTS"):
        find_project("bikes")


def test_many_threads_see_whole_projects(directory: Path) -> None:
    (directory / "rental.py").write_text(GOOD.replace("def load", "import time; time.sleep(0.05)\n\n\ndef load"))
    with ThreadPoolExecutor(8) as pool:
        assert {found.name for found in pool.map(find_project, ["bikes"] * 8)} == {"bikes"}


def test_whether_a_directory_defines_a_project_is_asked_of_files_that_name_it_alone(directory: Path) -> None:
    assert not declares_project(directory / "nowhere", "bikes")
    (directory / "views.py").write_text("from pathlib import Path\nPath(__file__).with_name('was run').touch()\n")
    (directory / "notes.py").write_text('raise RuntimeError("bikes")\n')
    (directory / "other.py").write_text(GOOD.replace("bikes", "cars") + '\nrelated = "bikes"\n')
    assert not declares_project(directory, "bikes")
    assert not (directory / "was run").exists()
    (directory / "rental.py").write_text(GOOD)
    assert declares_project(directory, "bikes")
