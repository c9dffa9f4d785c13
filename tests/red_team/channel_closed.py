"""Close every file, the owner's too.

bwrap, user, process: finished or died
"""

import os

os.closerange(0, 4096)
