"""The append-only record: its database, transactions, champion generations and export.

Does not belong here: what a decision means (`refit.monitoring`).
"""
