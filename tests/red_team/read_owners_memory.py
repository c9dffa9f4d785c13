"""Read the memory of the owner.

bwrap, user: refused
"""

try:
    with open(f"/proc/{OWNER}/mem", "rb"):
        print("read")
except OSError:
    print("refused")
