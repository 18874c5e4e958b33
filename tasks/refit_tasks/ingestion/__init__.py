"""Loading, filtering and upserting rows, the quarantine, and late labels.

Does not belong here: batch predictions (`prediction`).
"""
