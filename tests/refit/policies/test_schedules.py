"""When flows run and who hears of it: what cannot be meant is refused with a sentence."""

from datetime import timedelta

import pytest
from pydantic import ValidationError

from refit import DeploymentPolicy, NotificationPolicy, Schedule


def test_nothing_runs_and_nobody_is_told_by_default():
    schedule, told = Schedule(), NotificationPolicy()
    assert (schedule.retrain, schedule.monitor, schedule.score, schedule.timezone) == (None, None, None, "UTC")
    assert not told.notifies("promotion")
    assert DeploymentPolicy().when_busy == "refuse"


@pytest.mark.parametrize(
    ("schedule", "sentence"),
    [
        ({"monitor": "every hour"}, "is not a cron line"),
        ({"monitor": timedelta(seconds=1)}, "at least 10 seconds"),
        ({"timezone": "Mars/Olympus"}, "is not a time zone"),
        ({"montor": "0 * * * *"}, "Extra inputs"),
    ],
)
def test_a_schedule_that_cannot_be_is_refused(schedule, sentence):
    with pytest.raises(ValidationError, match=sentence):
        Schedule(**schedule)


def test_cron_lines_and_intervals_are_rhythms():
    schedule = Schedule(retrain="0 3 * * 1", monitor=timedelta(hours=1), timezone="Europe/Berlin")
    assert (schedule.retrain, schedule.monitor) == ("0 3 * * 1", timedelta(hours=1))


def test_a_rejection_is_told_only_where_it_is_named():
    blocks = ("slack-webhook/ml-team",)
    assert NotificationPolicy(blocks=blocks).notifies("rollback")
    assert not NotificationPolicy(blocks=blocks).notifies("rejection")
    assert NotificationPolicy(blocks=blocks, on=("rejection",)).notifies("rejection")


def test_a_block_is_named_by_type_and_name():
    with pytest.raises(ValidationError, match="write TYPE/NAME"):
        NotificationPolicy(blocks=("https://hooks.example/secret",))
