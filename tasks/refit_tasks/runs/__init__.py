"""Prefect runs (liveness, final states, links, progress) and the audit log of commands.

Does not belong here: the ledger.
"""
