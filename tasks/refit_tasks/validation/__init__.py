"""Great Expectations: the data contract, and the rows that break it.

Does not belong here: what happens to rejected rows (`ingestion`).
"""
