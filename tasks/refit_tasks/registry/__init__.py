"""MLflow: runs, model files, versions, the alias, recipes and provenance.

Does not belong here: which version is champion; that is decided by the ledger (`ledger`).
"""
