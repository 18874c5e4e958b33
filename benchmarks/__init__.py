"""How fast and how right, beside the peers?

Belongs here: measurements that print ratios to a peer in the same run; `python -m benchmarks` runs all of them,
`python -m benchmarks NAME` one. Does not belong here: anything a test asserts.
"""
