"""Settings, secrets, JSON logging and the entry point of the image; beside it the compose file, chart, alerts and CI.

Belongs here: where Refit keeps its state, and how it and the services around it are configured. Does not belong here:
anything that uses them. This package is a leaf: it imports nothing else of Refit.
"""
