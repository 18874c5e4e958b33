from dataclasses import replace
from math import nan

from refit.backtest.policies import PRESETS
from refit_tasks.presentation.summaries import name_best_policy
from refit_tasks.simulation.backtest_report import (
    NUMBERS,
    backtest_markdown,
    describe_history,
    explain_numbers,
    explain_policies,
    format_numbers,
)
from tests.support.monitored_champion import HOSTILE, backtest


def test_every_number_in_the_table_is_explained() -> None:
    result = backtest()
    assert [name for name, _ in explain_numbers(result)] == list(NUMBERS)
    page = backtest_markdown(result)
    (head,) = [line for line in page.splitlines() if line.startswith("| policy |")]
    assert head == f"| policy | {' | '.join(NUMBERS)} |"
    for name in NUMBERS:
        assert f"- **{name}**: " in page


def test_the_loss_is_named_after_what_is_lost() -> None:
    assert "1 - roc_auc" in explain_numbers(backtest())[0][1]
    assert "mean absolute error" in explain_numbers(replace(backtest(), metric="neg_mean_absolute_error"))[0][1]


def test_a_policy_with_a_name_of_its_own_is_explained_and_a_file_is_not() -> None:
    told = dict(explain_policies(backtest(("never", "mine", "default"))))
    assert told == {name: PRESETS[name].about for name in ("never", "default")}


def test_of_equal_losses_the_one_with_fewer_trainings_is_named() -> None:
    result = backtest()
    rival = replace(result.policies["default"], loss=result.policies["every window"].loss)
    policies = {**result.policies, "default": replace(rival, trainings=1)}
    assert name_best_policy(replace(result, policies=policies)).endswith("with default, 0.27875 at 1 trainings")


def test_what_cannot_be_told_is_an_empty_cell() -> None:
    policy = replace(backtest().policies["never"], loss=nan, relative_loss=nan, regret=nan)
    assert format_numbers(policy) == ("", "", "", "0", "0")


def test_it_says_which_windows_are_scored() -> None:
    words = describe_history(backtest())
    assert "5,000 rows from 2026-01-01 until 2026-03-12 in 10 windows" in words
    assert "the first 2, the last 8 are scored" in words


def test_a_name_from_outside_is_no_markup_in_any_line() -> None:
    page = backtest_markdown(backtest(("never", HOSTILE)))
    assert "<script" not in page
    assert page.splitlines()[0].startswith("## rentals: backtest: ")
    assert not any(line.startswith("# ") for line in page.splitlines())
