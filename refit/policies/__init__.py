"""The policies of a project file.

Does not belong here: the rules that apply them (`refit.gate`, `refit.monitoring`).
"""
