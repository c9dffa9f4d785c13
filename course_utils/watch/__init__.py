"""The flight recorder of a notebook: `%course watch`.

The kernel (`notebook`) tells a process of its own (`recorder`) which cell runs, and answers its questions for the line
and the ledger as a sandbox's child does (`course_utils.sandbox.snapshot`). The recorder reads the kernel's memory from
outside, warns, and keeps a recording (`course_utils.recordings`) in a hidden folder beside the notebook. When the
kernel dies, it writes down why, and leaves. The next notebook in that folder shows it, once (`aftermath`).
"""
