"""Add a file to the training folder.

bwrap, user: refused
"""

import os

try:
    with open(os.path.join(os.path.dirname(IMAGE), "more.jpg"), "wb") as file:
        file.write(b"more")
    print("done")
except OSError:
    print("refused")
