"""The tasks of the flows, each with one side effect and its retries.

Belongs here: everything that talks to MLflow, Great Expectations, the table store or the ledger's database. A task is a
verb that takes and returns small frozen references. Does not belong here: the order of the steps (`flows`) and pure
rules (`refit`).
"""
