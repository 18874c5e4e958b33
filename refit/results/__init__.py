"""What a flow or a command concluded, as JSON.

Does not belong here: how it is shown.
"""
