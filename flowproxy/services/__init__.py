"""Services: parameters become a `Service` or a list of problems, and the registry holds the wanted services.

The package knows no HAProxy process and no HTTP; the store is its only I/O.
"""
