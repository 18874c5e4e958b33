"""Promotion, the reconciliation of the alias, approval and rollback.

Does not belong here: registering a version (`registry`).
"""
