"""Which version predicts: champion, canary or shadow; and the prediction log.

Does not belong here: request formats (`refit_serving.rows`).
"""
