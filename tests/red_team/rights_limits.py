"""Lift the limits that it was given.

bwrap, user: refused
"""

import resource

try:
    resource.setrlimit(resource.RLIMIT_NOFILE, (1_000_000, 1_000_000))
    print("done")
except (OSError, ValueError):
    print("refused")
