"""The catalog of project files in `REFIT_PROJECTS`, and the settings that an installation adds to a project.

An error in a project file becomes one sentence and affects only that project.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from inspect import isfunction
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from refit.errors import BrokenProject, ProjectError, UnknownProject
from refit.project import Project
from refit_infra.settings import Settings
from refit_tasks.project_code.declaration import declared_name, declared_project
from refit_tasks.project_code.errors import describe_project_error

if TYPE_CHECKING:
    from refit_tasks.project_code.library_settings import LibrarySettings

Reader: TypeAlias = Callable[[Path], Project]
"""Reads the project of a file, or raises `BrokenProject`."""


@dataclass(frozen=True, slots=True)
class Catalog:
    """The projects of a directory."""

    projects: Mapping[str, Project]
    """The valid projects, by name."""
    broken: Mapping[Path, str]
    """The files without a valid project, each with the reason in one sentence."""


def find_project(name: str, read: Reader | None = None) -> Project:
    """Finds a project in `REFIT_PROJECTS`.

    Args:
        name: The project's name; it is compared, never used as a path.
        read: The reader of a file: `read_project`, the default, imports it, `read_declaration` does so only if needed.

    Returns:
        The project, with `file` and `description` filled in.

    Raises:
        BrokenProject: If the file that seems to define the project cannot be imported.
        UnknownProject: If no file defines the project.
    """
    directory = Settings().projects
    names = {file: declared_name(file) for file in project_files(directory)}
    declaring = [file for file, declared in names.items() if declared == name]
    if len(declaring) > 1:
        raise BrokenProject(_describe_duplicate(name, declaring))
    likely = declaring or [file for file, declared in names.items() if declared is None or file.stem == name]
    return _search(name, likely, directory, read or read_project)


def _search(name: str, files: list[Path], directory: Path, read: Reader) -> Project:
    """Finds a project in the given files: those that declare or compute its name, or whose own name is like it."""
    broken: dict[Path, str] = {}
    for file in files:
        try:
            project = read(file)
        except BrokenProject as error:
            broken[file] = str(error)
            continue
        if project.name == name:
            return project
    for file, sentence in broken.items():
        if name == file.stem or _mentions(file, name):
            raise BrokenProject(sentence)
    raise UnknownProject(_describe_unknown(name, directory, discover(directory, read)))


def choose_projects(name: str | None, read: Reader | None = None) -> tuple[list[Project], dict[str, str]]:
    """Finds one project, or all of them.

    Args:
        name: The project's name, or `None` for all.
        read: The reader of a file, as in `find_project`.

    Returns:
        The projects; and, for all, the reason by file for files without a valid project.

    Raises:
        ProjectError: If there is no such project, or the directory cannot be read.
    """
    if name is not None:
        return [find_project(name, read)], {}
    catalog = discover(Settings().projects, read)
    return list(catalog.projects.values()), {str(file): reason for file, reason in catalog.broken.items()}


def discover(directory: Path, read: Reader | None = None) -> Catalog:
    """Reads every project file of a directory, except those whose names start with an underscore.

    Args:
        directory: The directory of the files; its folders are not searched.
        read: The reader of a file, as in `find_project`.

    Returns:
        The projects by name, and the files without a valid project or with the project name of another file.

    Raises:
        ProjectError: If the directory cannot be read.
    """
    found: list[Project] = []
    broken: dict[Path, str] = {}
    for file in project_files(directory):
        try:
            found.append((read or read_project)(file))
        except BrokenProject as error:
            broken[file] = str(error)
    names = [project.name for project in found]
    for project in found:
        if names.count(project.name) > 1:
            files = [_file(other) for other in found if other.name == project.name]
            broken[_file(project)] = _describe_duplicate(project.name, files)
    return Catalog({project.name: project for project in found if _file(project) not in broken}, broken)


def read_project(file: Path) -> Project:
    """Imports a project file, again only if its code has changed.

    Args:
        file: The project file.

    Returns:
        The project, with `file` and, unless the file gives one, `description` filled in.

    Raises:
        BrokenProject: If the file cannot be imported or has no value `project` of type `Project`.
    """
    from refit_tasks.project_code.imports import import_project

    try:
        module, settings = import_project(file)
    except BrokenProject:
        raise
    except (Exception, SystemExit) as error:  # a project file may raise anything
        raise BrokenProject(f"{describe_project_error(error, file)}: correct the file") from error
    project = getattr(module, "project", None)
    if not isinstance(project, Project):
        raise BrokenProject(f"{file} defines no project: it needs a value `project = Project(...)`")
    first_line = (module.__doc__ or "").strip().partition("\n")[0]
    given = project.model_copy(update={"file": file, "description": project.description or first_line})
    return bind_to_installation(given if settings is None else _with_settings(given, settings))


def declares_project(directory: Path, name: str) -> bool:
    """Tells whether a file of a directory declares a project by name, without running any file.

    Args:
        directory: The directory of project files.
        name: The project's name.

    Returns:
        Whether one does; false if the directory cannot be read.
    """
    try:
        return name in map(declared_name, project_files(directory))
    except ProjectError:
        return False


def _with_settings(project: Project, settings: LibrarySettings) -> Project:
    from refit_tasks.project_code.library_settings import with_settings

    own = {"load": project.load, "build": project.build, "expectations": project.expectations}
    functions = {name: with_settings(function, settings) for name, function in own.items() if isfunction(function)}
    return project.model_copy(update=functions)


def read_declaration(file: Path) -> Project:
    """Reads a project file without running it if its project is declared in literal values; otherwise runs it.

    Args:
        file: The project file.

    Returns:
        The project, whose file is run when its load, estimator or expectations are called.

    Raises:
        BrokenProject: If the file had to be run and failed.
    """
    declared = declared_project(file, read_project)
    return apply_environment_policy(declared) if declared else read_project(file)


def project_files(directory: Path) -> list[Path]:
    """Lists the project files of a directory.

    Args:
        directory: The directory; its folders and files whose names begin with an underscore are skipped.

    Returns:
        The files, sorted by name.

    Raises:
        ProjectError: If the directory cannot be read.
    """
    try:
        return sorted(file for file in directory.iterdir() if file.suffix == ".py" and file.name[0] not in "_.")
    except OSError as error:
        raise ProjectError(
            f"the projects directory {directory} cannot be read ({error.strerror}): "
            "set REFIT_PROJECTS to the directory of your project files"
        ) from error


def _file(project: Project) -> Path:
    return project.file or Path()


def _mentions(file: Path, name: str) -> bool:
    try:
        text = file.read_text(errors="replace") if file.is_file() else ""
    except OSError:
        return False
    return f'"{name}"' in text or f"'{name}'" in text


def _describe_duplicate(name: str, files: list[Path]) -> str:
    return f"{' and '.join(map(str, files))} define a project of the same name, {name!r}: rename one of them"


def _describe_unknown(name: str, directory: Path, catalog: Catalog) -> str:
    known = sorted(catalog.projects)
    likely = get_close_matches(name, known, n=1)
    hint = f"did you mean {likely[0]!r}? " if likely else ""
    holds = f"it holds {', '.join(known)}" if known else "it holds no project"
    broken = (
        f"; these files cannot be read: {', '.join(str(file) for file in catalog.broken)}" if catalog.broken else ""
    )
    return f"no file in {directory} (REFIT_PROJECTS) defines a project {name[:80]!r}: {hint}{holds}{broken}"


def bind_to_installation(definition: Project) -> Project:
    """Applies this installation's settings to a project: its environment and its prediction log.

    Args:
        definition: The project as declared in its file.

    Returns:
        The project with the promotion policy of `REFIT_ENVIRONMENT`, and with a load that reads logged requests if its
        source is `Requests`.
    """
    from refit_tasks.ingestion.load import with_requests

    return with_requests(apply_environment_policy(definition))


def apply_environment_policy(definition: Project) -> Project:
    """Applies the promotion policy of `REFIT_ENVIRONMENT` to a project.

    Args:
        definition: The project as declared in its file.

    Returns:
        The project, whose `gate.promotion` is that of the environment, if `gate.environments` has one.
    """
    gate = definition.gate
    promotion = gate.environments.get(Settings().environment, gate.promotion)
    if promotion != gate.promotion:
        definition = definition.model_copy(update={"gate": gate.model_copy(update={"promotion": promotion})})
    return definition
