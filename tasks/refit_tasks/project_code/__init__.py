"""Project files as user code: their files and hash, their import, their declaration and their errors.

Does not belong here: finding a project by its name (`refit_tasks.catalog`).
"""
