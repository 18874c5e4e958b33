"""The state files that the first release has left, unpacked.

`first_release.tar.xz` was made by that release itself (commit 5883d17, in the environment of its own lock) with
REFIT_HOME=/srv/refit/.refit, by `refit retrain hours --as-of 2026-02-01` and `... --as-of 2026-03-10`: two champions, a
table in two versions, eight rows in quarantine.
"""

from __future__ import annotations

import tarfile
from pathlib import Path

from refit_infra.settings import Settings
from refit_tasks.maintenance.moved_home import relocate_artifacts

FORMER = "file:///srv/refit/.refit/mlartifacts"


def unpack(home: Path, directory: Path) -> Path:
    """Makes that state REFIT_HOME; gives the directory of its project file."""
    with tarfile.open(Path(__file__).with_name("first_release.tar.xz")) as packed:
        packed.extractall(directory, filter="data")
    (directory / ".refit").rename(home)
    relocate_artifacts(home / "mlflow.db", FORMER, Settings().mlflow_artifacts)
    return directory / "projects"
