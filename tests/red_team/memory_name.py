"""A name for the process that reads like a line of its own status.

bwrap, user, process, process by procfs: done
holds_mib: 60
"""

import time

with open("/proc/self/comm", "wb") as file:
    file.write(b"\rVmSwap:-99999")
held = bytearray(60 * 2**20)
held[::4096] = b"1" * len(held[::4096])
time.sleep(0.3)
print("done")
