"""The HTTP API: its paths, who may call them, and the JSON of its answers.

It decides nothing about routes: a handler turns a request into one call of a lower package, and its result into a
schema.
"""
