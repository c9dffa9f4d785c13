"""See who else runs on the machine.

bwrap: refused
user, process: read
"""

import os

print("read" if os.path.exists(f"/proc/{OWNER}/stat") and os.getpid() > 10 else "refused")
