"""The gate: which challenger may serve. One kind of rule a file, each a value with a reason; `decide` applies all.

Belongs here: policies, evidence and rules of the gate, and the arithmetic that turns predictions into evidence. Does
not belong here: reading rows, loading models, starting processes; those are tasks.
"""
