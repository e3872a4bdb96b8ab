"""What single texts mean: lines and expressions of HAProxy, regular expressions, paths, password hashes, and the
secrets in them.

Pure; it knows neither services nor routes.
"""
