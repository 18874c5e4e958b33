"""The gate: the rules that a challenger must pass before it may serve.

Belongs here: the evidence that the rules need, the statistics that turn predictions into evidence, one file for each
kind of rule, and `decide`, which applies all of them. Does not belong here: reading rows, loading models and starting
processes (`tasks`).
"""
