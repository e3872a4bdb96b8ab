"""The HTTP API: which path leads to what, who may call it, and the JSON that it answers.

It decides nothing about routes: a handler turns a request into one call of a lower package, and its result into a
schema.
"""
