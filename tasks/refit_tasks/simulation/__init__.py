"""How good the rules are: backtest, gate self-test, alarm calibration.

Does not belong here: production runs.
"""
