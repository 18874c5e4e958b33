"""When and where? The command line now; schedules and triggers as they come.

Belongs here: what starts a flow and shows its outcome. Does not belong here: what a flow does.
"""
