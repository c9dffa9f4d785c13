"""Read a secret from the owner's environment, in /proc.

bwrap, user: refused
"""

import os

found = []
for name in filter(str.isdecimal, os.listdir("/proc")):
    try:
        with open(f"/proc/{name}/environ", "rb") as file:
            found.append(b"COURSE_SECRET" in file.read())
    except OSError:
        pass
print("read" if any(found) else "refused")
