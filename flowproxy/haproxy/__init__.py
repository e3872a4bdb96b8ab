"""The HAProxy of this node: its process, files and runtime API, and the plan from the running to the desired state.

Nothing else in Flowproxy accesses HAProxy. Plans and commands are pure values, independent of the sources of services.
"""
