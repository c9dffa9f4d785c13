"""Read a secret from the owner's environment.

bwrap, user: refused
process: refused
"""

import os

print("read" if "COURSE_SECRET" in os.environ else "refused")
