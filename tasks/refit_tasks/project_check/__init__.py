"""The check of a project file on its newest rows, which finds what a retrain would refuse. Nothing is recorded.

What judges rows, splits them, stores a model and runs it in a fresh process lies in `ingestion`, `storage`,
`registry` and `evaluation`, and is only called here.
"""
