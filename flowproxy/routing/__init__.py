"""What routes mean: which service gets a request, in the order of docs/architecture.md, and the maps and rules that
say the same.

Pure: services in, lookups out.
"""
