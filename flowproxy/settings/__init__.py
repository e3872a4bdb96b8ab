"""The settings of the operator: environment variables and secrets, read once at the start.

`reading.read_settings` is the only place that reads them. Everything else takes its values from `Settings`.
"""
