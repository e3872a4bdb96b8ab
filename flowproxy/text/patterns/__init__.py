"""Regular expressions of services: what HAProxy's engine, which backtracks, may be made to do for one request.

`syntax` reads a pattern into a tree, `automaton` turns the tree into positions, and `cost` counts from those what the
engine may do at most. `search` evaluates a pattern in linear time. `limits` holds the numbers.
"""
