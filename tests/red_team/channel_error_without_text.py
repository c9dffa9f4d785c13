"""An error whose text leaves the process.

bwrap, user, process: raised
"""

import os


class Error(Exception):
    def __str__(self) -> str:
        raise SystemExit(0)


raise Error(os.getpid())
