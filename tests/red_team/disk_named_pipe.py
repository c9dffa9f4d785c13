"""Stop whoever looks through the folder, with a named pipe and a loop of links.

bwrap, user, process: done
"""

import os
import time

os.mkfifo("pipe")
os.symlink(".", "loop")
os.symlink("/dev/zero", "endless")
time.sleep(0.5)
print("done")
