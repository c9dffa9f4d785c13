"""Wait for an answer that nobody can give.

bwrap, user, process: raised
"""

input("Your name? ")
