"""Control loops that bring HAProxy and the replicas to the desired state.

They act only on snapshots of the registry. The packages below decide what a route means and what a plan contains.
"""
