"""Delta tables, files, staging, snapshots and the rows behind them.

Does not belong here: the data contract (`validation`).
"""
