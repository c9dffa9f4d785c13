"""Write where others read.

bwrap, user: refused
"""

import os
import sys

done = []
for folder in ("/usr", "/etc", "/opt", sys.prefix, os.path.dirname(os.__file__), "/var/lib"):
    try:
        with open(f"{folder}/{MARK}", "w"):
            done.append(folder)
    except OSError:
        pass
print("done" if done else "refused")
