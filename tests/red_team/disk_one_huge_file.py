"""One file larger than the limit.

bwrap, user, process: refused
"""

import os

with open("huge", "wb") as file:
    try:
        os.truncate(file.fileno(), 1 << 42)
        print("done")
    except OSError:
        print("refused")
