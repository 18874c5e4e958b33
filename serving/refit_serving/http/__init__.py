"""Routes, authentication, OpenAPI, and the server process.

Does not belong here: predictions (`refit_serving.traffic`).
"""
