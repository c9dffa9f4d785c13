"""Read the grades of the class.

bwrap, user: refused
process: read
"""

try:
    with open(GRADES) as file:
        print("read" if "mallory" in file.read() else "refused")
except OSError:
    print("refused")
