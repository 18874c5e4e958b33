"""Rows: contract, schema, casting, fingerprints, upsert, split.

Does not belong here: models.
"""
