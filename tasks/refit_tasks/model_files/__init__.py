"""What makes the files of a stored model safe to load: their hash, and checks of what is in them.

Does not belong here: writing, fetching and loading models (`refit_tasks.registry`).
"""
