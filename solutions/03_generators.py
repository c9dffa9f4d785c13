# %% [markdown]
# # Generators
#
# A generator hands over one batch at a time, so it needs the memory of a batch or two. Many generators first build a
# list of everything, and then they need the memory of everything. In this lab you crash such a generator, write one
# that holds names only, and measure the cost of workers, processes and queues.
#
# **Objectives**
#
# - Tell a generator that streams from one that only looks like it.
# - Write a `keras.utils.PyDataset`, shuffle it without holding the pictures, and use one for validation.
# - Say what `workers`, `use_multiprocessing` and `max_queue_size` cost, and where in Keras 3 they are set.
#
# **Prerequisites**
#
# - You have trained a small Keras model, and written a Python loop.
# - Lab 01: bytes = count x height x width x channels x itemsize.

# %% [markdown]
# ## The pictures
#
# A thousand scans of handwritten digits, 96 x 96 pixels in color. The next cell draws them once.

# %% tags=["predict"]
from course_utils import scans

folder = scans.load("train", count=1000, size=96)
scan_mib = 96 * 96 * 3 * 4 / 2**20
print(f"One scan as float32:        {scan_mib:5.2f} MiB")
print(f"A batch of 32 of them:      {32 * scan_mib:5.2f} MiB")

# %% [markdown]
# Every sandboxed cell starts in an empty process. To keep the cells of this lab short, the parts that they share have a
# name, which you give with `--name`. A cell with `--after NAME` first runs the cell of that name in its own process, so
# it knows all its variables. The memory counts as usual; output and values are not shown a second time. Here are the
# first two: the imports and file names, and a small model.

# %%
# %%sandbox --budget 96 --name basics
import random
import time

import keras
import numpy as np
from PIL import Image

from course_utils import scans
from course_utils.sandbox.inside import report

paths = sorted(scans.load("train", count=1000, size=96).glob("*/*.jpg"))

# %%
# %%sandbox --budget 96 --name model --after basics
model = keras.Sequential(
    [
        keras.layers.Rescaling(1 / 255),
        keras.layers.Conv2D(16, 3, strides=2, activation="relu"),
        keras.layers.GlobalMaxPooling2D(),
        keras.layers.Dense(10, activation="softmax"),
    ]
)
model.compile("adam", "sparse_categorical_crossentropy")

# %% [markdown] tags=["predict"]
# ## Predict
#
# The first cell below defines a generator, and the second one trains on it for one epoch. A generator runs up to its
# next `yield`, hands over the value that stands there, and waits. This one yields batches of 32.
#
# How much memory will the training need at its peak? Write your number in MiB after `--predict`, in place of the 40
# that stands there, and then run both cells.

# %% [markdown]
# ## Crash


# %%
# %%sandbox --budget 96 --name generator --after basics
def batches(paths):
    pictures = []
    for path in paths:
        pixels = keras.utils.img_to_array(keras.utils.load_img(path))
        pictures.append((pixels, int(path.parent.name)))
    random.shuffle(pictures)
    for start in range(0, len(pictures), 32):
        batch = pictures[start : start + 32]
        yield np.stack([pixels for pixels, _ in batch]), np.array([label for _, label in batch])


# %% tags=["crash"]
# %%sandbox --budget 96 --predict 40 --into crash --after model,generator
history = model.fit(batches(paths), verbose=0)

# %% [markdown]
# The function has a `yield`, so Python calls it a generator. But everything above the first `yield` runs before the
# first batch comes out, and that part reads the whole data set.

# %% [markdown]
# ## Explain
#
# Give the same generator more room, and take its batches in a loop, without a model.

# %% tags=["explain"]
# %%sandbox --budget 512 --into list_first --after generator
for _batch in batches(paths):
    pass

# %% [markdown]
# Three things are in memory at the peak: the list, the batch that you hold, and the next one, which the generator
# stacks before it lets go of yours.

# %% tags=["explain"]
batch_mib = 32 * scan_mib
rows = {
    "list of a thousand scans": 1000 * scan_mib,
    "the batch that you hold": batch_mib,
    "the next one": batch_mib,
}
for name, size in rows.items():
    print(f"{name:<28}{size:8.1f} MiB")
expected = sum(rows.values())
difference = 100 * (list_first.peak_mib - expected) / expected
print(f"{'expected at the peak':<28}{expected:8.1f} MiB")
print(f"{'measured':<28}{list_first.peak_mib:8.1f} MiB ({difference:+.1f}%)")

# %% [markdown]
# A generator costs two batches. The rest is the cost of the list.

# %% [markdown]
# ## Fix it, step by step
#
# ### Step 1: when a generator works
#
# Calling a generator function runs none of its lines: it only makes a generator. `next` runs the generator up to its
# next `yield`. So the place where you read matters: before the loop or in it.


# %%
def read(name):
    print(f"reads {name}", end=", ")
    return name


def builds_a_list(names):
    pictures = [read(name) for name in names]
    for number in range(len(pictures)):
        yield pictures[number]


def one_at_a_time(names):
    for name in names:
        yield read(name)


for function in (builds_a_list, one_at_a_time):
    pictures = function("abc")
    print(f"{function.__name__} is called", end=", ")
    print(f"gives {next(pictures)}")
print("gives", list(pictures))
print("and then gives", list(pictures))

# %% [markdown]
# Remember the last line: a generator that has come to its end stays there.
#
# Now the same with scans. `random.shuffle` gets the names, which is just as random as shuffling the pictures. A batch
# is read when its turn comes.


# %%
# %%sandbox --budget 96 --name reading --after basics
def load(paths):
    x = np.empty((len(paths), 96, 96, 3), dtype="float32")
    for row, path in enumerate(paths):
        x[row] = Image.open(path)
    return x, np.array([int(path.parent.name) for path in paths])


def batches(paths):
    paths = list(paths)
    random.shuffle(paths)
    for start in range(0, len(paths), 32):
        yield load(paths[start : start + 32])


# %%
# %%sandbox --budget 512 --into names_first --after reading
for _batch in batches(paths):
    pass

# %%
print(f"List first: {list_first.peak_mib:.1f} MiB. Names first: {names_first.peak_mib:.1f} MiB.")
print(f"Two batches take {2 * batch_mib:.1f} MiB.")

# %% [markdown]
# ### Step 2: more than one epoch
#
# Train on it for three epochs, and count the batches of each. For that you need a callback:


# %%
# %%sandbox --budget 96 --name counting --after model
class Count(keras.callbacks.Callback):
    """The number of batches in each epoch: those of the training, and those of the validation."""

    def on_train_begin(self, logs=None):
        self.batches, self.validation_batches = [], []

    def on_epoch_begin(self, epoch, logs=None):
        self.batches.append(0)
        self.validation_batches.append(0)

    def on_train_batch_end(self, batch, logs=None):
        self.batches[-1] += 1

    def on_test_batch_end(self, batch, logs=None):
        self.validation_batches[-1] += 1


count = Count()

# %% [markdown]
# The next cell trains twice: with the generator as it stands, and with `steps_per_epoch`. `report` passes the counts
# to the card and to later cells.

# %%
# %%sandbox --budget 512 --into used_up --after counting,reading
history = model.fit(batches(paths), epochs=3, callbacks=[count], verbose=0)
report(as_it_stands=str(count.batches), _second_epoch=count.batches[1])
history = model.fit(batches(paths), steps_per_epoch=32, epochs=3, callbacks=[count], verbose=0)
report(with_steps=str(count.batches))

# %% [markdown]
# Only the first epoch goes through all scans. Keras takes two batches out of a generator to learn their shape, keeps
# them, and hands them out again whenever it starts over. Your generator is never started again: it has come to its end.
# So later epochs train on the same two batches, or on none. The only sign is the warning above, shown once, that the
# input ran out.
#
# The remedy is a generator without an end. Then `fit` cannot know where an epoch ends, so `steps_per_epoch` tells it.


# %%
# %%sandbox --budget 512 --into endless --after counting,reading
def endless_batches(paths):
    while True:
        yield from batches(paths)


history = model.fit(endless_batches(paths), steps_per_epoch=32, epochs=2, callbacks=[count], verbose=0)
report(batches=str(count.batches))

# %% [markdown]
# ### Step 3: `PyDataset`
#
# `keras.utils.PyDataset` is made for this. It has a length, so an epoch ends by itself. Keras asks for batch number
# `index`, so the data set is never used up, and Keras may ask for several batches at a time. `on_epoch_end` is the
# place to shuffle, and it shuffles names.


# %%
# %%sandbox --budget 96 --name dataset --after reading
class Scans(keras.utils.PyDataset):
    """Batches of 32 scans, of which it holds the names."""

    def __init__(self, paths, **options):
        super().__init__(**options)
        self.paths = list(paths)
        self.on_epoch_end()

    def __len__(self):
        return -(-len(self.paths) // 32)

    def __getitem__(self, index):
        return load(self.paths[32 * index : 32 * index + 32])

    def on_epoch_end(self):
        random.shuffle(self.paths)


# %%
# %%sandbox --budget 512 --into pydataset --after model,dataset
history = model.fit(Scans(paths), epochs=2, verbose=0)

# %% [markdown]
# Do not forget `super().__init__(**options)`: Keras warns you if that call is missing. Step 5 is about the options.
#
# ### Step 4: what to shuffle
#
# `fit` has `shuffle=True` as its default, so do you need `on_epoch_end` at all? The files are sorted by class. The cell
# trains the same model twice, on smaller scans: first in the order of the names, then shuffled by `on_epoch_end`. It
# counts the classes in a batch, and measures accuracy on 500 scans of other handwriting.

# %%
small = scans.load("train", count=1000, size=48), scans.load("validation", count=500, size=48)


# %%
# %%sandbox --budget 512 --into order --after dataset
def load(paths):
    x = np.empty((len(paths), 48, 48, 3), dtype="float32")
    for row, path in enumerate(paths):
        x[row] = Image.open(path)
    return x, np.array([int(path.parent.name) for path in paths])


class Sorted(Scans):
    """The same in the order of the names."""

    def on_epoch_end(self):
        pass


paths = sorted(scans.load("train", count=1000, size=48).glob("*/*.jpg"))
validation = Sorted(sorted(scans.load("validation", count=500, size=48).glob("*/*.jpg")))
for name, kind in [("sorted", Sorted), ("shuffled", Scans)]:
    keras.utils.set_random_seed(0)
    training = kind(paths)
    labels = [path.parent.name for path in training.paths]
    classes = [len(set(labels[start : start + 32])) for start in range(0, len(labels), 32)]
    model = keras.Sequential(
        [
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(16, 5, strides=2, activation="relu"),
            keras.layers.BatchNormalization(momentum=0.8),
            keras.layers.Conv2D(32, 3, strides=2, activation="relu"),
            keras.layers.BatchNormalization(momentum=0.8),
            keras.layers.Conv2D(64, 3, activation="relu"),
            keras.layers.BatchNormalization(momentum=0.8),
            keras.layers.GlobalMaxPooling2D(),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.003), "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(training, epochs=2, verbose=0)
    accuracy = model.evaluate(validation, verbose=0)[1]
    report(**{f"{name}_classes": sum(classes) / len(classes), f"{name}_accuracy": round(accuracy, 3)})

# %% [markdown]
# `fit` shuffles the order of the batches. It cannot look into them: a batch of one class stays one. With a plain
# generator it shuffles nothing.
#
# ### Step 5: workers, processes and the queue
#
# So far, one thread reads. With `workers=2`, two threads put finished batches into a queue. With `use_multiprocessing`
# they are processes. Since Keras 3 these are options of the data set, not of `fit`:
# `Scans(paths, workers=2, use_multiprocessing=False, max_queue_size=10)`.
#
# First the memory. To fill the queue, the model has to be slower than the reading, so a pause of 50 milliseconds per
# batch stands in for a larger model. Half the scans are enough. The cells differ only in the options.

# %%
# %%sandbox --budget 512 --into threads_2 --after model,dataset
slow = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: time.sleep(0.05))
history = model.fit(Scans(paths[::2], workers=2, max_queue_size=2), callbacks=[slow], verbose=0)

# %%
# %%sandbox --budget 512 --into threads_10 --after model,dataset
slow = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: time.sleep(0.05))
history = model.fit(Scans(paths[::2], workers=2), callbacks=[slow], verbose=0)

# %%
# %%sandbox --budget 512 --into processes_10 --after model,dataset
slow = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: time.sleep(0.05))
history = model.fit(Scans(paths[::2], workers=2, use_multiprocessing=True), callbacks=[slow], verbose=0)

# %%
from course_utils import notebook

steps = {
    "list, without a model": list_first,
    "PyDataset": pydataset,
    "2 threads, queue of 2": threads_2,
    "2 threads, queue of 10": threads_10,
    "2 processes, queue of 10": processes_10,
}
notebook.compare(steps, alt="Memory over time of five ways to hand over scans, the first of them without a model")
place_mib = (threads_10.peak_mib - threads_2.peak_mib) / 8
process_mib = (processes_10.peak_mib - threads_10.peak_mib) / 2
print(f"One more place in the queue costs {place_mib:.1f} MiB. A batch has {batch_mib:.1f} MiB.")
print(f"A process costs {process_mib:.0f} MiB more than a thread.")

# %% [markdown]
# The runs differ in length, so compare their peaks and not their times. A place in the queue holds a whole batch, and
# the default is ten places. A batch of bytes would be a quarter as large. A process holds the batch that it reads, a
# pickled copy being sent to the main process, and every page of Python that it writes to.
#
# Now the speed. Two kinds of work stand in for reading: one waits, as for a slow disk or a network, and one computes in
# Python. The cell gives each kind to one thread, to four threads, and to two processes. It reports how many times as
# fast as one thread the other two are.


# %%
# %%sandbox --budget 512 --into speed --after basics
class Work(keras.utils.PyDataset):
    """Twenty-four batches of nothing, each after some work."""

    def __init__(self, work, **options):
        super().__init__(**options)
        self.work = work

    def __len__(self):
        return 24

    def __getitem__(self, index):
        self.work()
        return np.zeros((8, 4)), np.zeros(8)


def wait():
    time.sleep(0.04)


def compute():
    sum(number * number for number in range(200_000))


model = keras.Sequential([keras.layers.Dense(1)])
model.compile("sgd", "mse")
history = model.fit(Work(lambda: None), verbose=0)
ways = {"alone": {}, "threads": {"workers": 4}, "processes": {"workers": 2, "use_multiprocessing": True}}
for work, passes in [(wait, 1), (compute, 2)]:
    seconds = dict.fromkeys(ways, float("inf"))
    for _ in range(passes):
        for way, options in ways.items():
            start = time.perf_counter()
            history = model.fit(Work(work, **options), verbose=0)
            seconds[way] = min(seconds[way], time.perf_counter() - start)
    for way in ("threads", "processes"):
        report(**{f"{work.__name__}_{way}": round(seconds["alone"] / seconds[way], 2)})
try:
    model.fit(Work(wait), workers=2)
except TypeError as error:
    report(workers_in_fit=type(error).__name__)

# %% [markdown]
# Threads wait side by side. Python code computes in one thread at a time, so for that they gain nothing. Processes can
# compute side by side where there are free cores, but starting them again in each epoch costs time as well. In every
# case Keras reads the first two batches by itself, so a short epoch gains less.
#
# ### Step 6: validation
#
# The trap of step 2 exists for `validation_data` too, and there it is easier to miss. In this cell the learning rate is
# zero. The model stays as it is, so its validation loss must be the same after each of the three epochs, unless it is
# measured on other scans. The 200 validation scans make seven batches.


# %%
# %%sandbox --budget 512 --into validating --after counting,dataset
def batches(paths):
    for start in range(0, len(paths), 32):
        yield load(paths[start : start + 32])


def endless_batches(paths):
    while True:
        yield from batches(paths)


class Sorted(Scans):
    """The same in the order of the names."""

    def on_epoch_end(self):
        pass


held_out, paths = paths[::5], paths[1::20]
model.compile(keras.optimizers.SGD(0.0), "sparse_categorical_crossentropy")
for name, options in {
    "generator": {"validation_data": batches(held_out)},
    "endless_with_4_steps": {"validation_data": endless_batches(held_out), "validation_steps": 4},
    "PyDataset": {"validation_data": Sorted(held_out)},
}.items():
    history = model.fit(Sorted(paths), epochs=3, callbacks=[count], verbose=0, **options)
    losses = history.history["val_loss"]
    report(
        **{
            f"{name}_batches": str(count.validation_batches),
            f"{name}_change": round(max(losses) - min(losses), 4),
        }
    )

# %% [markdown]
# The generator is used up after the first epoch, and Keras goes on with the two batches that it kept. The endless one
# needs `validation_steps`, or validation never ends. Even then each epoch gets other scans: it begins with the two
# batches that Keras kept, and goes on where the last one stopped reading. You would compare epochs that were measured
# on different scans. A `PyDataset` gives all of them each time. Do not shuffle them: the order changes nothing in a
# validation.

# %% [markdown]
# ## What people say
#
# One claim needs two more runs: that with `use_multiprocessing` each process gets its own copy of the data. To test it,
# this data set does hold an array of all scans. Four threads read from it, and then four processes.


# %%
# %%sandbox --budget 256 --name holding --after model
class Held(keras.utils.PyDataset):
    """Batches cut out of an array of all scans."""

    def __init__(self, paths, **options):
        super().__init__(**options)
        self.x = np.empty((len(paths), 96, 96, 3), dtype="float32")
        for row, path in enumerate(paths):
            self.x[row] = Image.open(path)
        self.y = np.array([int(path.parent.name) for path in paths])

    def __len__(self):
        return -(-len(self.x) // 32)

    def __getitem__(self, index):
        rows = slice(32 * index, 32 * index + 32)
        return self.x[rows], self.y[rows]


# %%
# %%sandbox --budget 1024 --into held_threads --after holding
history = model.fit(Held(paths, workers=4, max_queue_size=2), verbose=0)

# %%
# %%sandbox --budget 1024 --into held_processes --after holding
history = model.fit(Held(paths, workers=4, max_queue_size=2, use_multiprocessing=True), verbose=0)

# %% tags=["claims"]
added_by_processes = held_processes.peak_mib - held_threads.peak_mib
copies_mib = 4 * 1000 * scan_mib
waits, computes = speed.values["wait_threads"], speed.values["compute_threads"]
gap = order.values["shuffled_accuracy"] - order.values["sorted_accuracy"]
notebook.claims(
    [
        (
            "It has a yield, so the data is not in memory.",
            f"list before the first yield: {list_first.peak_mib:.0f} MiB; names: {names_first.peak_mib:.0f} MiB",
            "depends: on what stands before the yield" if list_first.peak_mib > 3 * names_first.peak_mib else "true",
        ),
        (
            "fit starts a generator again in every epoch.",
            f"batches in each of three epochs: {used_up.values['as_it_stands']}",
            "true" if used_up.values["_second_epoch"] == 32 else "false",
        ),
        (
            "fit shuffles by default, so a data set need not.",
            f"classes in a batch: {order.values['sorted_classes']:.1f}, and with shuffled names "
            f"{order.values['shuffled_classes']:.1f}, a difference of {gap:+.2f} in accuracy",
            "true" if order.values["sorted_classes"] > 5 else "half true: it shuffles batches, not the scans in them",
        ),
        (
            "More workers read faster.",
            f"four threads: {waits:.1f} times as fast at waiting, {computes:.1f} times at computing in Python",
            "false"
            if waits < 1.2
            else "depends: on whether the work waits or computes"
            if computes < 0.8 * waits
            else "true",
        ),
        (
            "A long queue costs next to nothing.",
            f"{place_mib:.1f} MiB per place, for a batch of {batch_mib:.1f} MiB",
            "false" if place_mib > 0.5 * batch_mib else "true",
        ),
        (
            "use_multiprocessing copies the data set into each process.",
            f"four processes and an array of {1000 * scan_mib:.0f} MiB: {added_by_processes:+.0f} MiB, "
            f"where four copies would be {copies_mib:+.0f} MiB",
            "true"
            if added_by_processes > 0.8 * copies_mib
            else "false: forked processes share pages until one writes to them",
        ),
        (
            "workers and use_multiprocessing are arguments of fit.",
            f"Keras 3 answers fit(..., workers=2) with a {speed.values['workers_in_fit']}",
            "false" if speed.values["workers_in_fit"] == "TypeError" else "true",
        ),
    ]
)

# %% [markdown]
# A forked process shares every page with its parent until one of them writes to it. Nobody writes to that array. On
# Windows and macOS, and by default on Linux from Python 3.14 on, processes are not forked. There each process gets a
# pickled copy of the data set, and the claim holds. A data set of names is quick to send.

# %% [markdown]
# ## Your turn
#
# Write `train(folder)`. The folder holds {{train_count}} scans of {{image_size}} x {{image_size}} pixels in one folder
# per class, as `folder/<class 0..9>/*.jpg`. Feed them to a model with a `PyDataset` or a generator, and return the
# trained model.
#
# - **Memory:** at most {{budget_mib}} MiB above the baseline. A run is killed at twice that.
# - **Accuracy:** at least {{floor}} on {{hidden_count}} scans that you do not have.
# - **Time:** at most {{time_limit}} seconds, training and grading together.
#
# The grader feeds your model raw pixels, from 0 to 255, so the rescaling has to be part of the model. Any technique
# that meets the three is right. `%course hint {{number}}` gives a hint.

# %% tags=["graded"]
# %%graded 03
import random

import keras
import numpy as np
from PIL import Image


# BEGIN SOLUTION
class Scans(keras.utils.PyDataset):
    """Batches of 32 scans as bytes, of which it holds the names."""

    def __init__(self, paths, **options):
        super().__init__(**options)
        self.paths = list(paths)
        self.on_epoch_end()

    def __len__(self):
        return -(-len(self.paths) // 32)

    def __getitem__(self, index):
        paths = self.paths[32 * index : 32 * index + 32]
        x = np.empty((len(paths), 96, 96, 3), dtype="uint8")
        for row, path in enumerate(paths):
            x[row] = Image.open(path)
        return x, np.array([int(path.parent.name) for path in paths])

    def on_epoch_end(self):
        random.shuffle(self.paths)


# END SOLUTION
def train(folder):
    """Train on folder/<class>/*.jpg and return a Keras model that takes raw pixels from 0 to 255."""
    # STARTER: Hand the scans to a model batch by batch, in random order, and return it.
    # BEGIN SOLUTION
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.layers.Input((96, 96, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.AveragePooling2D(2),
            keras.layers.Conv2D(16, 5, strides=2, activation="relu"),
            keras.layers.BatchNormalization(momentum=0.8),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(32, 3, activation="relu"),
            keras.layers.BatchNormalization(momentum=0.8),
            keras.layers.Conv2D(64, 3, activation="relu"),
            keras.layers.BatchNormalization(momentum=0.8),
            keras.layers.GlobalMaxPooling2D(),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(Scans(sorted(folder.glob("*/*.jpg"))), epochs=3, verbose=2)
    return model
    # END SOLUTION


# %% [markdown] tags=["solution"]
# ## Why it works
#
# Between two batches, `Scans` holds {{train_count}} paths and nothing else. `__getitem__` reads 32 scans into a new
# array, and that array is free again after the step. The pixels stay bytes until they reach the `Rescaling` layer, so
# even a batch is small. The list at the start of the lab would hold all scans as floats.

# %% tags=["solution"]
from course_utils import labs

lab = labs.get("03")
scan_mib = lab.image_size**2 * 3 / 2**20
rows = {
    "a batch of bytes": 32 * scan_mib,
    "all scans as bytes": lab.train_count * scan_mib,
    "all scans as float32": 4 * lab.train_count * scan_mib,
}
for name, size in rows.items():
    print(f"{name:<24}{size:6.1f} MiB")

# %% [markdown] tags=["solution"]
# The rest of the peak is the training: the model's graph, and the activations of a batch. `AveragePooling2D(2)` comes
# first, so the convolutions see a quarter of the pixels. `random.shuffle` in `on_epoch_end` mixes the classes within
# each batch, and without that the accuracy stays below the floor.
#
# ## What else would pass
#
# - A generator that loops forever over shuffled names, with `steps_per_epoch` set to the number of batches. It needs
#   the same memory. You count the steps yourself.
# - `keras.utils.image_dataset_from_directory(folder, image_size=(96, 96), batch_size=32)`. It is one line and shuffles
#   the names. Its batches are floats, four times as large as a batch of bytes, and it keeps a few of them.
# - `np.memmap`: write the scans to a file once, in random order, and cut batches out of it. The file costs disk space,
#   but its pages do not count as memory that you need.
# - `Scans(paths, workers=2, max_queue_size=4)`. Each place in the queue costs one more batch, and a batch of bytes is
#   small. With `use_multiprocessing=True` it is different: each process has memory of its own, and two of them can
#   already exceed the budget.

# %% [markdown] tags=["own"]
# ## In your own notebook
#
# Here `paths` is a list of files, and `labels` holds their classes as numbers. Nothing of the course is needed.
#
# ```python
# import keras
# import numpy as np
# from PIL import Image
#
#
# class Pictures(keras.utils.PyDataset):
#     """Keeps the names of the files, and opens those of one batch at a time."""
#
#     def __len__(self):
#         return -(-len(paths) // 32)
#
#     def __getitem__(self, index):
#         batch = slice(32 * index, 32 * index + 32)
#         return np.stack([np.asarray(Image.open(path)) for path in paths[batch]]), np.array(labels[batch])
#
#
# model.fit(Pictures(), epochs=2)
# ```
#
# **With a GPU:** it waits while Python opens files. `Pictures(workers=4)` opens several batches at once, and holds as
# many.

# %% [markdown] tags=["summary"]
# ## Summary
#
# - A `yield` saves nothing by itself. Everything that a generator collects before it is in memory, and so is everything
#   that a data set reads in `__init__`.
# - Hold names, shuffle names, read a batch when it is asked for.
# - A generator is used up after one epoch. Let it loop forever and set `steps_per_epoch`, or write a `PyDataset`.
# - `fit` shuffles the order of the batches of a `PyDataset`, and nothing else.
# - A place in the queue costs a batch, and a process costs more than a thread. Add workers only when the model waits.
# - Validate on a `PyDataset`, so that each epoch is measured on the same scans.
#
# To remember: {{takeaway}}

# %% [markdown] tags=["quiz"]
# ## Quiz
#
# Open the answer that you would give.
#
# **1. A `PyDataset` opens all pictures in `__init__` and cuts batches out of them later. What does it hold?**
#
# - [ ] One batch, since it is asked for one at a time :: It hands over one batch. The pictures from `__init__` stay.
# - [x] All pictures, for as long as it lives :: Whatever `__init__` stores in `self` is in memory. Store names there.
# - [ ] Ten batches, the size of the queue :: Without workers there is no such queue, and the pictures come on top.
#
# **2. The loss of the first epoch falls nicely. From the second on, epochs take no time at all. What happened?**
#
# - [x] The generator is used up :: Keras has only the two batches left that it took to learn the shape.
# - [ ] The pictures are cached now :: Nothing of a generator is cached, apart from its first two batches.
# - [ ] Training has converged :: `fit` continues with an epoch whether or not there is something to learn.
#
# **3. Which change makes training both small and well shuffled?**
#
# - [ ] `random.shuffle(pictures)` on a list of arrays :: Well shuffled, but the list is the whole data set.
# - [ ] `fit(..., shuffle=True)` with names sorted by class :: That is the default. It shuffles batches, and each
#   still holds one class.
# - [x] `random.shuffle(self.paths)` in `on_epoch_end` :: Names are small, and their order is new in each epoch.
#
# **4. `Scans(paths, workers=8, max_queue_size=100)` gets killed. What do you change first?**
#
# - [ ] `use_multiprocessing=True` :: The queue is as long as before, and each process adds its own memory.
# - [x] `max_queue_size` :: A hundred places are a hundred batches, if the model is slower than the reading.
# - [ ] More workers, so that it is over sooner :: They fill the queue faster. The model empties it as slowly as before.
#
# **5. Why does validation on an endless generator with `validation_steps` mislead?**
#
# - [ ] It shuffles :: The order within validation changes nothing, if the scans are the same.
# - [x] Each epoch is measured on other scans :: It goes on where it stopped. Differences between epochs then come from
#   the scans as well as from the model.
# - [ ] Keras trains on them :: Validation changes no weights.

# %% tags=["versions"]
notebook.versions(seed=0)
