# %% [markdown]
# # The first crash
#
# "Your session crashed after using all available RAM." In this lab you make that happen to a process that does not
# matter, and read the traces that it left. Then you hand in a first answer that stays under a budget.
#
# **Objectives**
#
# - Tell baseline, peak and budget apart, and read the card under a run.
# - Say why the kernel kills a process, and why Colab can tell you so little about it.
# - Predict a peak before you run a cell.
# - Get a first verdict from the grader.
#
# **Prerequisites**
#
# - You have run a cell in a notebook.
# - You know that an array has a shape. You need no other lab.

# %% [markdown]
# ## Three words
#
# - The **baseline** is the memory of a process that has imported TensorFlow and done nothing else. It is not counted,
#   because your code can't reduce it.
# - The **peak** is the most memory that a run needed above its baseline, even if only for a moment.
# - The **budget** is the peak that is allowed.
#
# All three are in MiB, and 1 MiB is 2 to the power of 20 bytes: a little over a million.

# %% [markdown] tags=["predict"]
# ## Predict
#
# The cell below makes two arrays of ones: a thousand numbers, and then a table of 5,000 rows and 10,000 columns. How
# many MiB will it need? Write your number after `--predict`, in place of the 50 that stands there, and then run it.
#
# You have no idea? Write any number. The card compares it with what happened, and by the end of this lab you will be
# close.

# %% [markdown]
# ## Crash
#
# The first line, `%%sandbox --budget 256`, runs the cell in a process of its own. When that process needs more than
# 256 MiB, it is killed. Your notebook keeps running. `--into crash` keeps the outcome under the name `crash`, so that
# later cells can ask for such things as `crash.peak_mib`.

# %% tags=["crash"]
# %%sandbox --budget 256 --predict 50 --into crash
import numpy as np

row = np.ones(1000)
table = np.ones((5000, 10000))
total = table.sum()

# %% [markdown]
# That was a crash, and this card is its **post-mortem**. Read it from the top:
#
# 1. **What happened.** It was killed for its memory. Nothing was wrong with the Python code.
# 2. **Which line.** The last of your lines that was running. A killed process cannot report this itself, so the course
#    watches it from outside.
# 3. **What was running while the memory grew.** Up to three lines, how much memory came at each, and the phase: what
#    the run was doing, such as *loading* data or the *first step* of a training.
# 4. **Why, and what to do**, where the evidence shows it.
# 5. **How far it got.** The peak when it was killed, the budget, and the curve of its memory over time. Each phase has
#    a number and a color.
# 6. **What was in memory** shortly before: the largest objects.
#
# In Colab you get the first of these at best. The next section explains why.

# %% [markdown]
# ## Explain
#
# To see how much the table needs, give the same lines more room.

# %% tags=["explain"]
# %%sandbox --budget 512 --into enough
import numpy as np

row = np.ones(1000)
table = np.ones((5000, 10000))
total = table.sum()

# %% [markdown]
# You could have known it beforehand. NumPy's numbers are `float64` unless you choose another type, and a `float64` has
# 64 bits, or 8 bytes:
#
# > bytes = rows x columns x bytes per number

# %% tags=["explain"]
expected = 5000 * 10000 * 8 / 2**20
print(f"expected  {expected:6.1f} MiB")
print(f"measured  {enough.peak_mib:6.1f} MiB ({100 * (enough.peak_mib / expected - 1):+.1f}%)")

# %% [markdown]
# ### Why Colab says so little
#
# All processes of your machine share its memory, and the kernel of the operating system hands it out. When a process
# needs more and none is left, the part of the kernel called the **OOM killer** ends a process with the signal
# `SIGKILL`. OOM means *out of memory*. No program can catch that signal: not with `try`, not with `finally`. The next
# cell sends it to a small process to show you.

# %%
import subprocess
import sys

program = """
import os, signal
try:
    os.kill(os.getpid(), signal.SIGKILL)
except BaseException:
    print("I caught it")
finally:
    print("I tidied up")
"""
killed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
print(f"It printed {killed.stdout!r}, it complained {killed.stderr!r}, and its exit code is {killed.returncode}.")

# %% [markdown]
# No message, no traceback, only a number: minus the number of the signal. In Colab the process that dies like this is
# the one that runs your notebook, so all your variables are lost. Only other programs can tell you something:
#
# - *"Your session crashed after using all available RAM."* Colab's page says this; it watches from outside. Your
#   notebook runs in a **control group**, a set of processes with one limit for their memory, and the kernel counts in
#   `oom_kill` how often it had to kill one of them. So Colab can know that it was the memory, and still not which line.
# - *"Your session crashed for an unknown reason."* The same page says this when it cannot tell: memory ran out fast, or
#   a library crashed.
# - `KernelRestarter: restarting kernel` in the log, under **Runtime > View runtime logs**. Here *kernel* is Jupyter's
#   word for the process that runs your notebook. It was gone, and Jupyter started a new one.
# - `tcmalloc: large alloc 8000000000 bytes` in a log from before February 2023. The last big request was for that much.
#   Colab used another allocator then, the part of a program that asks the kernel for memory. Today the line is missing.
#
# The course can read such lines for you:

# %%
import textwrap

from course_utils import causes

log = "KernelRestarter: restarting kernel (1/5), keep random ports"
found = causes.explain(log)
for text in (found.title, found.why, found.fix):
    print(textwrap.fill(text, 80), end="\n\n")

# %% [markdown]
# ### The machine that you have
#
# A budget in this course is far below what your machine has, so that a lab crashes in the same way everywhere. For your
# own work, know the real limit. At the time of writing, Colab lent you two processors and about 12.7 GB of memory
# without charge, with no promise, and of a T4 GPU's memory TensorFlow got 13.6 to 14 GB. The next cell asks this
# machine.

# %%
import psutil

memory = psutil.virtual_memory()
print(f"processors {psutil.cpu_count()}, memory {memory.total / 1e9:.1f} GB, free {memory.available / 1e9:.1f} GB")

# %% [markdown]
# In Colab, click the RAM and disk bars at the top right to see the **Resources** panel: the curve of the memory, live.
# Three commands of the **Runtime** menu differ in what you lose:
#
# - **Restart session** loses your variables. Files and installed packages stay.
# - **Disconnect and delete runtime** loses the files and packages too. You get a new machine the next time.
# - **Change runtime type** gives you another machine as well. With **High-RAM**, which costs money, it has a few times
#   the memory. Lab 13 measures what that buys.
#
# ### The real thing, if you like
#
# You may want to see it once. The cell below fills the memory of your Colab runtime, one gibibyte at a time, until it
# crashes. It does nothing until you change `False` to `True` in its first line. Afterwards change it back and run this
# notebook again from the first cell.

# %%
crash_for_real = False

if not crash_for_real:
    print("Skipped: nothing crashes while crash_for_real is False.")
elif "google.colab" not in sys.modules:
    print("Skipped: this is not Colab, and filling the memory could take down other programs on this machine.")
else:
    import numpy as np

    hoard = []
    while True:
        hoard.append(np.ones(2**27))
        print(f"{len(hoard)} GiB", flush=True)

# %% [markdown]
# ## Fix it, step by step
#
# Four rounds of a game: change the number after `--predict`, then run the cell. Each round is a variation of the table
# from the crash.
#
# ### Round 1: smaller numbers
#
# A `float32` has half the bits of a `float64`.

# %%
# %%sandbox --budget 512 --predict 1 --into half
import numpy as np

table = np.ones((5000, 10000), dtype="float32")
total = table.sum()

# %% [markdown]
# ### Round 2: zeros instead of ones
#
# The same shape, the same `float64`.

# %%
# %%sandbox --budget 512 --predict 1 --into zeros
import numpy as np

table = np.zeros((5000, 10000))

# %% [markdown]
# Surprised? Asking is not using. The kernel promises the memory, even more than there is, which is called
# **overcommit**, and hands out a page of it only when something is written there. `np.ones` writes at once. This array
# gets its memory later, when you fill it, and then your program crashes in a line that looks harmless. **Only memory in
# use counts.**
#
# ### Round 3: a part of the table
#
# Every second row gets a second name. Is that half a table more?

# %%
# %%sandbox --budget 512 --predict 1 --into view
import numpy as np

table = np.ones((5000, 10000), dtype="float32")
part = table[::2]

# %% [markdown]
# A slice is a **view**: another way of looking at the same bytes. A calculation such as `table * 2` would be new bytes.
#
# ### Round 4: one after the other
#
# Two tables in this cell and in the next. What does `del` change?

# %%
# %%sandbox --budget 1024 --predict 600 --into both
import numpy as np

first = np.ones((5000, 10000), dtype="float32")
second = np.ones((5000, 10000), dtype="float32")

# %%
# %%sandbox --budget 1024 --predict 600 --into one_at_a_time
import numpy as np

first = np.ones((5000, 10000), dtype="float32")
del first
second = np.ones((5000, 10000), dtype="float32")

# %% [markdown]
# The peak is not the sum of all arrays that the cell makes. It is the most that exists at one time.
#
# ### The rounds side by side

# %%
from course_utils import notebook

rounds = {
    "float32": half,
    "zeros": zeros,
    "a view": view,
    "two tables": both,
    "del between": one_at_a_time,
}
notebook.compare(rounds, alt="Memory over time of the four rounds")
print(f"The table from the crash, for comparison: {enough.peak_mib:.0f} MiB.")

# %% [markdown]
# ## What people say
#
# One more run for the claims. Does `except MemoryError` save you?

# %%
# %%sandbox --budget 256 --into careful
import numpy as np

try:
    table = np.ones((5000, 10000))
except MemoryError:
    print("I caught it")

# %%
# %%sandbox --budget 256 --into refused
import numpy as np

try:
    table = np.ones((10_000_000, 100_000_000))
except MemoryError as error:
    print(error)

# %% [markdown]
# No machine has the petabytes that the second one asks for, so the request is *refused*, and that is an exception. In
# the first one the memory was promised and then used, and that ends in a kill.

# %% tags=["claims"]
saved = 1 - one_at_a_time.peak_mib / both.peak_mib
survived = [outcome.status == "finished" for outcome in (careful, refused)]
ended = ["survived" if survival else "killed" for survival in survived]
notebook.claims(
    [
        (
            "An array takes its memory when you create it.",
            f"ones: {enough.peak_mib:.0f} MiB; zeros of the same shape: {zeros.peak_mib:.0f} MiB",
            "half true: when it is filled" if zeros.peak_mib < 0.1 * enough.peak_mib else "true",
        ),
        (
            "`except MemoryError` protects you.",
            f"memory promised, then used: {ended[0]}; request refused: {ended[1]}",
            "half true: it catches a refusal, not a kill" if survived == [False, True] else "depends: on the system",
        ),
        (
            "`del` gives memory back.",
            f"both at once: {both.peak_mib:.0f} MiB; one deleted first: {one_at_a_time.peak_mib:.0f} MiB",
            "true: if no other name holds the array" if saved > 0.4 else "half true",
        ),
        (
            "It crashed, so the machine is too small.",
            f"float64: {enough.peak_mib:.0f} MiB; float32, the same table: {half.peak_mib:.0f} MiB",
            "depends: on how you wrote it" if half.peak_mib < 0.6 * enough.peak_mib else "true",
        ),
    ]
)

# %% [markdown]
# ## Your turn
#
# A warm-up. Write `train(folder)`, in place of the line that begins with `raise`: load all scans into one array `x` and
# their classes into `y`, and return `fit_model(x, y)`. The function `fit_model` is given. The folder holds
# {{train_count}} scans of handwritten digits, color pictures of {{image_size}} x {{image_size}} pixels, as
# `folder/<class 0..9>/*.jpg`. Then run the cell: it is graded at once, in a process of its own.
#
# Most people write `np.array([np.asarray(Image.open(path)) / 255 for path in paths])`. A pixel in a file is a whole
# number from 0 to 255, one byte. What is it after the division?
#
# - **Memory:** at most {{budget_mib}} MiB above the baseline. A run is killed at twice that.
# - **Accuracy:** at least {{floor}} on {{hidden_count}} scans that you do not have.
# - **Time:** at most {{time_limit}} seconds, training and grading together.
#
# `fit_model` takes pixels from 0 to 255: dividing them is a layer of the model. Run `%course hint {{number}}` in a cell
# of its own for a hint, and `%course submit {{number}}` to write the file to hand in.

# %% tags=["graded"]
# %%graded 00
import keras
import numpy as np
from PIL import Image


def fit_model(x, y):
    """Train a small model on pixels from 0 to 255 of shape (count, 96, 96, 3) and labels of shape (count,)."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.layers.Input((96, 96, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(16, 5, strides=3, activation="relu"),
            keras.layers.BatchNormalization(momentum=0.8),
            keras.layers.Conv2D(32, 3, strides=2, activation="relu"),
            keras.layers.BatchNormalization(momentum=0.8),
            keras.layers.Conv2D(64, 3, activation="relu"),
            keras.layers.GlobalMaxPooling2D(),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy")
    model.fit(x, y, batch_size=32, epochs=7, verbose=0)
    return model


def train(folder):
    """Load folder/<class>/*.jpg within the budget, and return fit_model(x, y)."""
    # STARTER: Load the scans into x, their classes into y, and return fit_model(x, y).
    # BEGIN SOLUTION
    paths = sorted(folder.glob("*/*.jpg"))
    x = np.empty((len(paths), 96, 96, 3), dtype="uint8")
    for index, path in enumerate(paths):
        x[index] = Image.open(path)
    y = np.array([int(path.parent.name) for path in paths])
    return fit_model(x, y)
    # END SOLUTION


# %% [markdown] tags=["solution"]
# ## Why it works
#
# A pixel in a file is one byte, and in this array it stays one byte. `np.empty` makes the array once, and the loop
# fills it in place, so there is no list as well. Then `fit` makes copies of the array, for a moment two. The peak is
# about three times the array, and the training comes on top.

# %% tags=["solution"]
from course_utils import labs

lab = labs.get("00")
numbers = lab.train_count * lab.image_size**2 * 3
for name, size in {"uint8": 1, "float16": 2, "float32": 4, "float64": 8}.items():
    one = numbers * size / 2**20
    print(f"{name:<8} one array {one:6.1f} MiB, three of them {3 * one:6.1f} MiB")
print(f"The budget is {lab.budget_mib} MiB.")

# %% [markdown] tags=["solution"]
# ## What else would pass
#
# - `np.stack([np.asarray(Image.open(path)) for path in paths])`. For a moment the list and the array are both in
#   memory, but both hold bytes, and the list is gone before `fit` makes its copies. So the peak stays the same.
# - The same with `np.array` in place of `np.stack`.
# - Half of the scans as bytes. It saves half of each array. The model learns from less, so this costs accuracy, and
#   here enough of it is left.
# - Half of the scans as `float32`. It passes too, with arrays that are twice as large as those of all scans as bytes.

# %% [markdown] tags=["own"]
# ## In your own notebook
#
# Two figures tell how close you are: what this kernel holds, and what the machine has left. Nothing of the course is
# needed.
#
# ```python
# import numpy as np
# import psutil
#
#
# def memory():
#     """Say how much memory this kernel holds and how much the machine has left."""
#     held, left = psutil.Process().memory_info().rss, psutil.virtual_memory().available
#     print(f"held {held / 2**20:,.0f} MiB, left {left / 2**20:,.0f} MiB")
#
#
# memory()
# x = np.ones((5000, 1000), dtype="float32")  # the line that you want to know about
# memory()
# ```
#
# **With a GPU:** both figures are about the machine's own memory. For that of the GPU, see lab 10.

# %% [markdown] tags=["summary"]
# ## Summary
#
# - The peak above the baseline decides whether a run survives, and a moment is enough.
# - bytes = how many numbers x bytes per number. `float64` is 8, `float32` is 4, `uint8` is 1.
# - The kernel kills for memory in use, not for memory asked for. Nothing in your program can catch it.
# - A view costs nothing, and a calculation makes new bytes. `del` before the next array keeps the peak low, if no view
#   of the first one is left.
#
# To remember: {{takeaway}}

# %% [markdown] tags=["quiz"]
# ## Quiz
#
# Open the answer that you would give.
#
# **1. How large is a `float32` array of shape (1000, 1000, 3)?**
#
# - [ ] About 3 MiB :: That is the number of numbers. Each of them takes 4 bytes.
# - [x] About 11 MiB :: 3 million numbers of 4 bytes are 12 million bytes, and a MiB is a little over a million.
# - [ ] About 23 MiB :: That would be `float64`, 8 bytes per number.
#
# **2. Your session crashed and there is no traceback. Why?**
#
# - [ ] The error was in a library :: Then there would be a traceback that ends in the library.
# - [x] The process was killed, and a killed process runs no more Python :: So nothing is left to print one.
# - [ ] Colab hides it :: Colab does not have it either. It can see that the process was killed for its memory, and no
#   more.
#
# **3. `x = np.zeros((100000, 100000))` worked, and 20 lines later the session crashed. Can that be due to `x`?**
#
# - [ ] No, the line worked :: It got a promise. Memory is handed out when something is written to it.
# - [x] Yes, when something filled it :: The crash comes where the memory is used, not where it was asked for.
# - [ ] No, zeros never take memory :: They do as soon as you write to the array.
#
# **4. What does a peak of 300 MiB tell you?**
#
# - [ ] The run needed 300 MiB all the time :: It may have been for a moment only.
# - [ ] The process had 300 MiB in all :: That would include the baseline, which is not counted.
# - [x] At its worst moment the run needed 300 MiB above the baseline :: That is the moment that decides.

# %% tags=["versions"]
notebook.versions(seed=0)
