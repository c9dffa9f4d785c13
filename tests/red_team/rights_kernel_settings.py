"""Change a setting of the kernel.

bwrap, user: refused
"""

try:
    with open("/proc/sys/vm/swappiness", "r+") as file:
        value = file.read()
        file.seek(0)
        file.write(value)
        file.flush()
    print("done")
except OSError:
    print("refused")
