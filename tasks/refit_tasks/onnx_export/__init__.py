"""scikit-learn pipelines as ONNX graphs.

Does not belong here: the choice of the runtime that serves (`evaluation`).
"""
