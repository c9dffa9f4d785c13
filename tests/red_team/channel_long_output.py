"""300 MB of output.

bwrap, user, process: done
"""

for _ in range(300):
    print("x" * 1_000_000)
print("done")
