"""What would a policy have done? A project's history, replayed window by window through the same rules.

Belongs here: the replay of rows, labels, decisions, trainings and gate verdicts in the order in which they would have
come, and the comparison of policies. Does not belong here: rules of its own; it calls those of the rest of `refit`.
"""
