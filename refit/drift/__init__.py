"""What has changed in the data? Profiles of rows, distances between two of them, alarms with a known false-alarm rate.

Belongs here: sketches of columns that merge exactly, one statistic per function, the calibration of thresholds from the
reference's own blocks of time. Does not belong here: whether a change is worth a retrain (`refit.monitoring`), and
reading or storing rows (`tasks`).
"""
