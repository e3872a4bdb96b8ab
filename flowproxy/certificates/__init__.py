"""The certificates that the proxy shows: those of the folder, of secrets and of API calls, and HAProxy's verdict on
each.

It hands them to the registry and knows no routes.
"""
