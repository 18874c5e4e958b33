"""Markdown, charts and one-sentence summaries.

Does not belong here: anything that reads a store.
"""
