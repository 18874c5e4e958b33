"""Conversion of fitted scikit-learn pipelines to ONNX, verification against scikit-learn, and inference.

Does not belong here: the choice of the runtime that serves (`evaluation`).
"""
