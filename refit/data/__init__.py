"""Rows of a project: contract, schema, casting, fingerprints, upsert, split, and readers of the ready-made loads.

Does not belong here: models, and the tables themselves (`refit_tasks.storage`).
"""
