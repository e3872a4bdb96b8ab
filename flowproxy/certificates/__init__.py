"""The certificates of the proxy, from the folder, from secrets and from API calls, each checked with HAProxy.

They are passed to the registry; nothing here depends on routes.
"""
