"""Body formats (JSON, Arrow, tensors): requests to rows, predictions to responses; and the loaded model.

Does not belong here: routes (`refit_serving.http`).
"""
