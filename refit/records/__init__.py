"""Values that are stored: references, verdicts, ledger entries, recipes, drift findings.

Does not belong here: the rules that produce them.
"""
