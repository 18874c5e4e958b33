"""The evidence of a monitor run: drift, realised performance, benefit probe, post-promotion check; and its report.

Does not belong here: deciding (`decision`).
"""
