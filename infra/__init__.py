"""On what? Settings now; images, compose files, charts and CI templates as they come.

Belongs here: where Refit's state lives and how the services around it are told. Does not belong here: anything
that uses them. `infra.settings` is a leaf: it imports nothing of ours.
"""
