"""Backup and restore of all state.

Does not belong here: retention (`maintenance`).
"""
