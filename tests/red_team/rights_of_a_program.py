"""Get rights from a program that gives them to who runs it.

bwrap, user: refused
"""

with open("/proc/self/status") as file:
    fields = dict(line.split(":") for line in file.read().splitlines())
print("refused" if fields["NoNewPrivs"].strip() == "1" and not int(fields["CapBnd"], 16) else "done")
