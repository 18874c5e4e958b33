"""Backtest: monitoring policies replayed on a project's history, window by window, and compared by their losses.

Belongs here: the replay of rows, labels, decisions, trainings and verdicts in their order, and the comparison of
policies. Does not belong here: rules of its own; it calls those of the rest of `refit`.
"""
