"""Which models? One file each, with one `project = Project(...)` value.

Belongs here: the definition of a model, with the load that gets its rows. Does not belong here: anything shared
between models. A team keeps its own files in a directory of its own and names it in `REFIT_PROJECTS`.
"""
