"""150 MiB in another program.

bwrap, user, process, process by procfs: out_of_memory
"""

import subprocess
import sys

subprocess.run(
    [sys.executable, "-c", "import time; a = bytearray(150 * 2**20); a[::4096] = b'1' * 38400; time.sleep(5)"]
)
