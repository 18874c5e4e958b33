"""HTTP server for the champions of Refit's projects: predictions, labels, health and metrics.

Belongs here: routes and body formats, API keys, the threads that follow the ledger, canary and shadow challengers, and
the prediction log. Does not belong here: how rows are cast and predicted (`refit.inference`), how models are loaded and
predictions stored (`refit_tasks`), the commands (`refit_deployments`). Only `refit_deployments` imports this package.
"""
