import pytest
from prefect import flow

from refit.errors import StateError
from refit_tasks.prefect_tasks import define_retry_task, define_task
from refit_tasks.retries import LOAD_WAIT, WRITE_WAIT, Backoff, retry_registry_write, wait_seconds


@pytest.mark.parametrize(("error", "tries"), [(StateError("ours"), 1), (ConnectionError("foreign"), 3)], ids=str)
def test_only_foreign_faults_are_tried_again(prefect_server: None, error: Exception, tries: int) -> None:
    tried = []

    @define_retry_task("fail once more", delay_seconds=0)
    def fail() -> None:
        """Fails."""
        tried.append(1)
        raise error

    @flow
    def run() -> None:
        fail()

    with pytest.raises(type(error)):
        run()
    assert len(tried) == tries


def test_a_task_keeps_its_name_its_types_and_its_result(prefect_server: None) -> None:
    @define_task("double {number}")
    def double(number: int) -> int:
        """Doubles a number."""
        return 2 * number

    @flow
    def run() -> tuple[int, int]:
        return double(2), double(2)

    assert run() == (4, 4)
    assert (double.name, double.description, double.retries, double.fn(3)) == ("double", "Doubles a number.", 0, 6)


def test_a_write_to_the_registry_is_tried_once_more_and_only_after_a_race() -> None:
    faults = [ConnectionError("raced"), ConnectionError("raced again"), ConnectionError("never raised")]

    def write() -> None:
        raise faults.pop(0)

    with pytest.raises(ConnectionError, match="raced again"):
        retry_registry_write(lambda error: isinstance(error, ConnectionError))(write)
    with pytest.raises(ConnectionError, match="never raised"):
        retry_registry_write(lambda error: isinstance(error, KeyError))(write)
    assert not faults


def test_what_fails_again_and_again_waits_twice_as_long_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("refit_tasks.retries.monotonic", lambda: now[0])
    backoff = Backoff(WRITE_WAIT)
    assert not backoff.is_waiting(1)
    for seconds in (0.5, 1, 2, 4, 8, 16, 30, 30):
        backoff.fail(1)
        assert backoff.retry_at - now[0] == seconds
        assert (backoff.is_waiting(1), backoff.is_waiting(2)) == (True, False)
        now[0] += seconds
        assert not backoff.is_waiting(1)
    backoff.fail(2)  # something else has failed
    assert backoff.retry_at - now[0] == 0.5
    backoff.reset()
    assert not backoff.is_waiting(2)
    assert wait_seconds(LOAD_WAIT, 10) == 60
