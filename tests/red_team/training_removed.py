"""Remove the training images.

bwrap, user: refused
"""

import os

try:
    os.remove(IMAGE)
    print("done")
except OSError:
    print("refused")
