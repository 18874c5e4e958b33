"""What the ready-made loads read: CSV and Parquet files, folders, windows of event time.

Does not belong here: the loads themselves (`refit.sources`), and what becomes of their rows (`refit.data`).
"""
