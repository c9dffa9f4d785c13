"""Make a device file of the disk.

bwrap, user: refused
"""

import os
import stat

try:
    os.mknod("disk", stat.S_IFBLK | 0o600, os.makedev(254, 0))
    print("done")
except OSError:
    print("refused")
