"""In what order? Flows that read like prose.

Belongs here: flow functions whose bodies are lists of domain verbs. Does not belong here: effects (`tasks`), rules
(`refit`), pandas, scikit-learn, MLflow or Great Expectations.
"""
