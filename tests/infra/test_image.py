"""The image: nothing for a linter to say, nobody's root, and the same versions as everywhere else."""

from __future__ import annotations

import re
import tomllib
from itertools import pairwise

from tests.support.infra_tools import INFRA, ROOT, passes

FILE = INFRA / "docker/Dockerfile"
TEXT = FILE.read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_hadolint_finds_nothing() -> None:
    passes("hadolint", FILE)


def test_it_installs_what_is_locked_with_the_makefiles_uv() -> None:
    version = re.search(r"^UV_VERSION := (\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE).group(1)
    assert f"uv=={version}" in TEXT
    installs = re.findall(r"^RUN uv (.*)$", TEXT, re.MULTILINE)
    assert len(installs) == 2
    for words in map(str.split, installs):
        assert {"sync", "--locked", "--no-dev"} <= set(words)
        extras = {following for word, following in pairwise(words) if word == "--extra"}
        assert extras == set(PROJECT["project"]["optional-dependencies"])


def test_it_holds_every_room_and_lets_each_of_them_in() -> None:
    copied = set(re.findall(r"^COPY (\w+)/ ", TEXT, re.MULTILINE))
    installed = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"]
    assert copied == {folder.partition("/")[0] for folder in installed}
    admitted = {
        line[1:] for line in (INFRA / "docker/Dockerfile.dockerignore").read_text().splitlines() if line[0] == "!"
    }
    assert admitted == copied | {"pyproject.toml", "uv.lock", "README.md", "LICENSE"}


def test_nobody_is_root() -> None:
    assert re.findall(r"^USER (.*)$", TEXT, re.MULTILINE) == ["10001:10001"]
    assert TEXT.count("\nFROM ") == 2
