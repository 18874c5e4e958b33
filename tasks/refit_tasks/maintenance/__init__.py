"""Doctor, prune and erase.

Does not belong here: backup and restore (`backup`).
"""
