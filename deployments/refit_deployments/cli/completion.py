"""Shell completion of project names, read from the project files without running them."""

from __future__ import annotations


def complete_project(incomplete: str) -> list[str]:
    """Completes the name of a project.

    Args:
        incomplete: The typed part.

    Returns:
        The names in `REFIT_PROJECTS` that begin with it; a file whose name is computed counts by its own name.
    """
    from refit.errors import ProjectError
    from refit_infra.settings import Settings
    from refit_tasks.catalog import project_files
    from refit_tasks.project_code.declaration import declared_name

    try:
        names = {declared_name(file) or file.stem for file in project_files(Settings().projects)}
    except (ProjectError, ValueError):  # completion has no place for an error
        return []
    return sorted(name for name in names if name.startswith(incomplete))
