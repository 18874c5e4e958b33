import pytest
from prefect import flow, task

from refit.errors import StateError
from refit_tasks.retries import is_transient


@pytest.mark.parametrize(("error", "tries"), [(StateError("ours"), 1), (ConnectionError("foreign"), 3)], ids=str)
def test_only_foreign_faults_are_tried_again(prefect_server: None, error: Exception, tries: int) -> None:
    tried = []

    @task(retries=2, retry_condition_fn=is_transient)
    def fail() -> None:
        tried.append(1)
        raise error

    @flow
    def run() -> None:
        fail()

    with pytest.raises(type(error)):
        run()
    assert len(tried) == tries
