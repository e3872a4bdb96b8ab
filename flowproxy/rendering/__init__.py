"""Turns a route table and servers into the files that HAProxy reads.

It decides nothing about which route wins and talks to no process.
"""
