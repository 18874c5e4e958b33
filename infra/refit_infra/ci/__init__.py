"""How do teams check, try out and deploy their project files? Templates for GitHub, GitLab and Jenkins.

Belongs here: the templates, and the one step that all three share. Does not belong here: what `refit` does itself; a
template names its commands only.
"""
