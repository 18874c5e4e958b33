"""When does retraining pay? Evidence about a champion in production, and the one decision that follows from it.

Belongs here: performance on late labels, the benefit probe, the monitoring policy, and `decide`, a pure function of
evidence, policy and history. Does not belong here: how drift is measured (`refit.drift`), and what starts a retrain
(`tasks`, `flows`).
"""
