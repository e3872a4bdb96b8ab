"""What somebody asked for: parameters become a `Service`, or a list of problems, and the registry holds the wanted
ones.

It knows no HAProxy process and no HTTP; the store is its only I/O.
"""
