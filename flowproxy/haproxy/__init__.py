"""The HAProxy alongside: its process, files and runtime API, and the plan from what runs to what is wanted.

Nothing else in Flowproxy touches HAProxy. Plans and commands are pure values; they know nothing about where services
come from.
"""
