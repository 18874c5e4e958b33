"""Who predicts a request (champion, canary, shadow), the ledger followers that load them, and the prediction log.

Does not belong here: body formats (`refit_serving.rows`) and routes (`refit_serving.http`).
"""
