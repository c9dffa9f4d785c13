"""Leave with the code that says that all is well.

bwrap, user, process: died
"""

import sys

sys.exit(0)
