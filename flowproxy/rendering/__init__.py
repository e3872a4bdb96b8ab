"""Turns a route table and servers into the files that HAProxy reads.

It decides nothing about which route wins, reads no file and talks to no process: templates and error pages are given
to it as texts.
"""
