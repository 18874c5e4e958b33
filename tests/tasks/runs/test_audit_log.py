"""Who did what: noted once, by the ledger or by a file that only its owner reads."""

from __future__ import annotations

import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from refit.errors import NotApproved, StateError
from refit_deployments.main import app
from refit_tasks.ledger.record import record
from refit_tasks.runs.audit_log import audited, list_audit_entries
from refit_tasks.runs.identity import current_user

AT = datetime(2026, 3, 1, tzinfo=UTC)


def refused() -> None:
    raise NotApproved("ada@example.org asked for it")


def test_what_the_ledger_does_not_say_is_noted_and_what_it_says_is_read_there(home: Path) -> None:
    with audited("labels", "bikes"):
        pass
    with audited("approve", "bikes", recorded=True):
        record("bikes", "approval", {"approved": False, "who": "ada"}, AT)
    with pytest.raises(NotApproved), audited("approve", "cars", recorded=True):
        refused()
    record("bikes", "rollback", {"by": "bob", "decision": None}, AT + timedelta(hours=1))
    record("bikes", "rollback", {"by": "the watch", "decision": 7}, AT)
    record("bikes", "erasure", {"who": "eve"}, AT + timedelta(hours=2))
    record("cars", "decision", {"evidence": {"request": {"by": "manual", "who": "ada"}}}, AT)
    record("cars", "decision", {"evidence": {"request": None}}, AT)
    assert [(one.who, one.action, one.entry) for one in list_audit_entries("bikes")] == [
        ("ada", "refuse", 1), ("bob", "rollback", 2), ("eve", "forget", 4), (current_user(), "labels", None),
    ]  # fmt: skip
    assert [(one.action, one.outcome) for one in list_audit_entries("cars")] == [
        ("retrain", "done"),
        ("approve", "NotApproved"),
    ]
    assert [one.action for one in list_audit_entries(since=AT + timedelta(hours=2))] == ["forget", "labels", "approve"]
    assert {one.host for one in list_audit_entries()} == {"", socket.gethostname()}


def test_the_file_is_its_owners_and_holds_no_words_of_a_fault(home: Path) -> None:
    with pytest.raises(NotApproved), audited("approve", "bikes"):
        refused()
    file = home / "access.jsonl"
    assert file.stat().st_mode & 0o777 == 0o600
    assert "ada@example.org" not in file.read_text()


def test_making_a_key_is_noted_without_what_was_given(home: Path, tmp_path: Path) -> None:
    assert CliRunner().invoke(app, ["serve-key", "till", "--keys", str(tmp_path / "keys")]).exit_code == 0
    assert [(one.action, one.project, one.outcome) for one in list_audit_entries()] == [("serve-key", "", "done")]
    assert "till 7" not in (home / "access.jsonl").read_text()


def test_a_home_that_cannot_be_written_is_told_by_the_command_itself(home: Path) -> None:
    def broken() -> None:
        raise StateError("the ledger cannot be written")

    with pytest.raises(StateError, match="the ledger"), audited("prune", None):
        broken()
    assert not home.exists()
