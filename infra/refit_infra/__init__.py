"""On what? Settings, the image, the compose file, the chart, alerts, and templates for continuous integration.

Belongs here: where Refit's state lives and how the services around it are told. Does not belong here: anything
that uses them. `refit_infra.settings` is a leaf: it imports nothing of ours.
"""
