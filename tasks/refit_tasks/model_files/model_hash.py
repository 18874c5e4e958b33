"""The hash of a stored model's files: it is recorded in the ledger with the verdict, and compared before they are read.

Who can write to MLflow's artifacts could otherwise replace the judged model by another one.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from refit.errors import UntrustedModel
from refit.records.references import ModelRef

FORM_DIRECTORY = "onnx"
"""The directory of a model's files with its ONNX form, which is made after the model and named by its hash."""
_NOT_HASHED = (FORM_DIRECTORY, "registered_model_meta")
"""What is added to the files after training; the second one by MLflow, where a version is downloaded."""
_DOMAIN = b"refit model files 1"


def hash_model_files(directory: Path) -> str:
    """Hashes the names and contents of all files of a model.

    Args:
        directory: The directory that MLflow has stored or downloaded.

    Returns:
        SHA-256 in hexadecimal.
    """
    digest = hashlib.sha256(_DOMAIN)
    for file in sorted(file for file in directory.rglob("*") if file.is_file()):
        name = file.relative_to(directory)
        if name.parts[0] not in _NOT_HASHED:
            with file.open("rb") as stream:
                content = hashlib.file_digest(stream, "sha256").digest()
            digest.update(hashlib.sha256(name.as_posix().encode()).digest() + content)
    return digest.hexdigest()


def require_judged_files(model: ModelRef, directory: Path) -> None:
    """Checks that a model's files are those that were trained and judged.

    Args:
        model: The model, from the ledger. One of a former release has no hash, and is not checked.
        directory: Its files.

    Raises:
        UntrustedModel: If they have another hash than the ledger says.
    """
    if model.sha256 and (found := hash_model_files(directory)) != model.sha256:
        raise UntrustedModel(
            f"the files of {model.uri} are not those that were judged (SHA-256 {found[:12]}, the ledger has "
            f"{model.sha256[:12]}): restore them from a backup, or return to another version by "
            f"`refit rollback {model.project}`"
        )
