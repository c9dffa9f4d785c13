"""Kill the owner.

bwrap, user: refused
"""

import os
import signal

try:
    os.kill(OWNER, signal.SIGKILL)
    print("done")
except OSError:
    print("refused")
