"""Prefect flows: the order of the steps.

Belongs here: flow functions whose bodies are lists of domain verbs. Does not belong here: effects (`tasks`), rules
(`refit`), pandas, scikit-learn, MLflow or Great Expectations.
"""
