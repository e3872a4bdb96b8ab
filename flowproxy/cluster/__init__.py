"""The replicas of the proxy: how they find and trust each other, and which of two versions is newer.

It changes neither the registry nor HAProxy; the loops in `control` do.
"""
