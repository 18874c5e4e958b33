"""Drift: profiles of rows, distances between two profiles, and alarms with a known false-alarm rate.

Belongs here: profiles that merge exactly, one statistic per function, and the calibration of alarms on the reference's
own blocks of time. Does not belong here: whether drift is worth a retrain (`refit.monitoring`), and reading or storing
rows (`tasks`).
"""
