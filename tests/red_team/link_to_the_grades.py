"""A link to the grades in its own folder, which is removed afterwards.

bwrap, user, process: done
"""

import os

os.symlink(GRADES, "link")
os.symlink(os.path.dirname(GRADES), "folder")
print("done")
