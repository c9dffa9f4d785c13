"""Write to the memory of the process that nobody measures.

bwrap, user: refused
"""

import os

try:
    with open(f"/proc/{os.getppid()}/mem", "r+b"):
        print("done")
except OSError:
    print("refused")
