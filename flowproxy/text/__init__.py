"""Single texts: lines and expressions of HAProxy, regular expressions, paths, password hashes, and secrets in them.

Pure: it does no I/O, and knows neither services nor routes.
"""
