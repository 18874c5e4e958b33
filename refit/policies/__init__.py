"""What a project file may set.

Does not belong here: what a policy leads to (`refit.gate`, `refit.monitoring`).
"""
