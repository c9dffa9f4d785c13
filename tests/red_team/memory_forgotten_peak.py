"""Have the kernel forget the peak that it has noted for the process.

bwrap, user, process, process by procfs: done
holds_mib: 60
"""

import time

held = bytearray(60 * 2**20)
held[::4096] = b"1" * len(held[::4096])
time.sleep(0.3)
with open("/proc/self/clear_refs", "w") as file:
    file.write("5")
del held
print("done")
