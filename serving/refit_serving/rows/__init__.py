"""Request bodies to rows and back, and the loaded model that predicts them.

Does not belong here: routes (`refit_serving.http`).
"""
