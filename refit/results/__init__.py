"""The results of flows and commands, and their JSON.

Does not belong here: their presentation.
"""
