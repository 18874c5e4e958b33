"""Simulations that measure the rules: backtest, gate self-test and alarm calibration.

Does not belong here: production runs.
"""
