"""How much work regular expressions may be for one request, and how long texts and patterns may be."""

from __future__ import annotations

LONGEST_TEXT = 4096  # characters of a path; a longer one matches no pattern
LONGEST_HOST = 253
LONGEST_AGENT = 1024
LONGEST_QUADRATIC = 1024  # characters of a text whose search takes quadratic time

MOST_STEPS = 2_500_000  # for one request, over all patterns of a service, or of all services of a host
MOST_STEPS_ANY_HOST = 300_000  # of a service whose patterns concern requests to any host
MOST_PATTERNS, MOST_PATTERNS_ANY_HOST, MOST_REWRITES = 100, 20, 30
LONGEST_PATTERN, LONGEST_PATTERNS = 500, 10_000  # characters, of one pattern and of all patterns of a service
MOST_POSITIONS = 300  # characters that a pattern stands for when repeats are written out

SEARCHING = ("sub", "dir", "dom")  # HAProxy's methods that look for a value at every character of a text
