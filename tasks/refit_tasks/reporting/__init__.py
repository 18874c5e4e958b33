"""The HTML report, the model card, and the description of a ledger entry.

Does not belong here: the artifact of a single task, which lies beside the task.
"""
