"""Monitoring: evidence about a champion in production, and the decision to retrain, to wait or to alert.

Belongs here: performance on late labels, the benefit probe, triggers and guards, and `decide`, a pure function of
evidence, policy and history. Does not belong here: measuring drift (`refit.drift`) and starting a retrain (`tasks`,
`flows`).
"""
