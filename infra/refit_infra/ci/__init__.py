"""The step shared by the CI templates for GitHub, GitLab and Jenkins that check, backtest and deploy project files.

Does not belong here: what `refit` does itself; a template only calls its commands.
"""
