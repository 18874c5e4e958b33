"""Project files as foreign code: which files they are, how they are imported, and what their errors say.

Does not belong here: finding a project by its name (`refit_tasks.catalog`).
"""
