"""The loops that bring HAProxy, and the replicas, to what is wanted.

They only act on snapshots of the registry. What a route means and what a plan is are decided in the packages below.
"""
