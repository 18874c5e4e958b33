"""MLflow: runs, model files, versions, the alias, recipes and provenance.

Does not belong here: who serves: that is the ledger's to say (`ledger`).
"""
