"""What can be done? One side effect or retry boundary each.

Belongs here: everything that talks to MLflow, Great Expectations, the table store or the ledger database. A task is a
verb that takes and returns small frozen references. Does not belong here: the order of things (`flows`) and pure
rules (`refit`).
"""
