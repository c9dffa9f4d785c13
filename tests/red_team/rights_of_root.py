"""Become root.

bwrap, user: refused
"""

import os

try:
    os.setuid(0)
    print("done")
except OSError:
    print("refused" if os.getuid() else "done")
