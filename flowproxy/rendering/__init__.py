"""Renders a route table and servers into the files that HAProxy reads.

It does not decide which route wins, reads no files and calls no processes: it receives templates and error pages as
texts.
"""
