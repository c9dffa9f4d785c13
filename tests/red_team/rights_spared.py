"""Have the kernel spare it when memory is short.

bwrap, user: refused
"""

try:
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write("-500")
    print("done")
except OSError:
    print("refused")
