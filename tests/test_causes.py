"""Error texts as people paste them, and what the course makes of each."""

import html
import importlib.util
import json
import os
import re
import time
import tomllib
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from course_utils import causes
from tools import ROOT

# id of the cause, kind, text
TEXTS = [
    ("session_crashed", "host_ram", "Your session crashed after using all available RAM."),
    ("session_crashed", "host_ram", "your session crashed after using all available\n  RAM. View runtime logs"),
    (
        "float64_data",
        "host_ram",
        "x_train = x_train /255\nx_test = x_test /255\n\nYour session crashed after using all available RAM.",
    ),
    (
        "one_hot_labels",
        "host_ram",
        "trainX = tf.keras.utils.to_categorical(trainX)\nYour session crashed after using all available RAM.",
    ),
    (
        "large_allocation",
        "host_ram",
        "Oct 18, 2019, 7:54:49 AM | WARNING | WARNING:root:kernel b9e44794-c591-416b-a281-1a0873e0ca43 restarted\n"
        "Oct 18, 2019, 7:54:49 AM | INFO | KernelRestarter: restarting kernel (1/5), keep random ports\n"
        "Oct 18, 2019, 7:54:04 AM | WARNING | tcmalloc: large alloc 3011936256 bytes == 0x5bbf0000 @ 0x7feed825",
    ),
    ("kernel_restarted", "host_ram", "KernelRestarter: restarting kernel (1/5), keep random ports"),
    (
        "kernel_restarted",
        "host_ram",
        "The kernel for lab.ipynb appears to have died. It will restart automatically.",
    ),
    (
        "float64_data",
        "host_ram",
        "numpy._core._exceptions._ArrayMemoryError: Unable to allocate 844. MiB for an array with shape "
        "(4000, 96, 96, 3) and data type float64",
    ),
    (
        "numpy_allocation",
        "host_ram",
        "MemoryError: Unable to allocate 7.45 GiB for an array with shape (1000000, 1000) and data type float64",
    ),
    ("memory_error", "host_ram", 'Traceback (most recent call last):\n  File "a.py", line 3\nMemoryError'),
    (
        "list_then_array",
        "host_ram",
        "----> 7 images = np.array(images)\n\nMemoryError: Unable to allocate 422. MiB for an array with shape "
        "(4000, 96, 96, 3) and data type float32",
    ),
    (
        "bad_alloc",
        "host_ram",
        "terminate called after throwing an instance of 'std::bad_alloc'\n  what():  std::bad_alloc\n"
        "Aborted (core dumped)",
    ),
    (
        "shuffle_buffer",
        "host_ram",
        "shuffle_dataset_op.cc:111] Filling up shuffle buffer (this may take a while): 1359 of 2048\n"
        "shuffle_dataset_op.cc:162] Shuffle buffer filled.\nKilled\n",
    ),
    (
        "tenth_of_memory",
        "host_ram",
        "W external/local_xla/xla/tsl/framework/cpu_allocator_impl.cc:83] Allocation of 6645350400 exceeds 10% of "
        "free system memory.",
    ),
    ("killed", "host_ram", "Process finished with exit code 137 (interrupted by signal 9: SIGKILL)"),
    ("killed", "host_ram", "./train.sh:  60: 11880 killed              python3 train.py"),
    ("killed", "host_ram", "Killed"),
    ("killed", "host_ram", "subprocess.CalledProcessError: died with <Signals.SIGKILL: 9>."),
    ("killed", "host_ram", "Out of memory: Killed process 4711 (python3) total-vm:31234567kB"),
    ("killed", "host_ram", "Process finished with exit code -9"),
    (
        "cannot_allocate",
        "host_ram",
        "----> 1 subprocess.Popen(['ls'])\n   1551     self.pid = _fork_exec(\n"
        "OSError: [Errno 12] Cannot allocate memory",
    ),
    ("cannot_allocate", "host_ram", "bash: fork: Cannot allocate memory"),
    (
        "cannot_allocate",
        "host_ram",
        "RuntimeError: [enforce fail at alloc_cpu.cpp:75] err == 0. DefaultCPUAllocator: can't allocate memory: you "
        "tried to allocate 132426121216 bytes. Error code 12 (Cannot allocate memory)",
    ),
    (
        "workers",
        "host_ram",
        '  File "/usr/lib/python3.6/multiprocessing/pool.py", line 236, in _repopulate_pool\n'
        '  File "/usr/lib/python3.6/multiprocessing/popen_fork.py", line 66, in _launch\n    self.pid = os.fork()\n'
        "OSError: [Errno 12] Cannot allocate memory",
    ),
    ("workers", "host_ram", "RuntimeError: DataLoader worker (pid 12) is killed by signal: Killed."),
    (
        "shared_memory_full",
        "host_ram",
        "RuntimeError: DataLoader worker (pid 12) is killed by signal: Bus error. It is possible that dataloader's "
        "workers are out of shared memory. Please try to raise your shared memory limit.",
    ),
    (
        "workers",
        "host_ram",
        "joblib.externals.loky.process_executor.TerminatedWorkerError: A worker process managed by the executor was "
        "unexpectedly terminated. This could be caused by a segmentation fault while calling the function or by an "
        "excessive memory usage",
    ),
    ("shared_memory_full", "host_ram", "OSError: [Errno 28] No space left on device: '/dev/shm/psm_1f'"),
    (
        "retracing",
        "host_ram",
        "WARNING:tensorflow:5 out of the last 5 calls to <function TensorFlowTrainer.make_predict_function> triggered "
        "tf.function retracing.",
    ),
    (
        "data_as_tensor",
        "host_ram",
        "ResourceExhaustedError: OOM when allocating tensor with shape[48000,224,224,3] and type float on "
        "/job:localhost/replica:0/task:0/device:CPU:0 by allocator mklcpu [Op:Cast] name:",
    ),
    (
        "activations",
        "host_ram",
        "{{function_node __wrapped__Fill_device_/job:localhost/replica:0/task:0/device:CPU:0}} OOM when allocating "
        "tensor with shape[64,150,150,32] and type float on /job:localhost/replica:0/task:0/device:CPU:0 by allocator "
        "mklcpu [Op:Fill] name:",
    ),
    (
        "activations",
        "gpu_memory",
        "ResourceExhaustedError: OOM when allocating tensor with shape[64,2016,9,9] and type float on "
        "/job:localhost/replica:0/task:0/device:GPU:0 by allocator GPU_0_bfc\n [[Node: cell_12/AvgPool_1]]\nHint: If "
        "you want to see a list of allocated tensors when OOM happens",
    ),
    (
        "activations",
        "gpu_memory",
        "OOM when allocating tensor with shape[32,64,224,224] and type float on /job:localhost/replica:0/task:0/"
        "device:GPU:0 by allocator GPU_0_bfc [Op:Conv2D]",
    ),
    (
        "activations",
        "gpu_memory",
        "ResourceExhaustedError: 2 root error(s) found.\n  (0) Resource exhausted: Out of memory while trying to "
        "allocate 68852648264 bytes.\n [[{{node cluster_0_1/xla_run}}]]",
    ),
    (
        "attention_scores",
        "gpu_memory",
        "OOM when allocating tensor with shape[24,64,1024,1024] and type float on /job:localhost/replica:0/task:0/"
        "device:GPU:0 by allocator GPU_0_bfc [Op:Softmax]",
    ),
    (
        "wide_dense",
        "gpu_memory",
        "OOM when allocating tensor with shape[3075200,512] and type float on /job:localhost/replica:0/task:0/"
        "device:GPU:0 by allocator GPU_0_bfc [Op:RandomUniform]",
    ),
    ("wide_softmax", "gpu_memory", "OOM when allocating tensor with shape[2048,436631]"),
    (
        "array_to_gpu",
        "gpu_memory",
        "InternalError: Failed copying input tensor from /job:localhost/replica:0/task:0/device:CPU:0 to /job:"
        "localhost/replica:0/task:0/device:GPU:0 in order to run _EagerConst: Dst tensor is not initialized.\n"
        "cuda_driver.cc:733] failed to allocate 8.41G (9029127168 bytes) from device: CUDA_ERROR_OUT_OF_MEMORY",
    ),
    (
        "gpu_full",
        "gpu_memory",
        "cuda_driver.cc:733] failed to allocate 8.41G (9029127168 bytes) from device: CUDA_ERROR_OUT_OF_MEMORY: "
        "out of memory",
    ),
    ("resource_exhausted", "gpu_memory", "ResourceExhaustedError: Graph execution error"),
    ("gpu_full", "gpu_memory", "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB."),
    ("gpu_handle", "gpu_memory", "Could not create cudnn handle: CUDNN_STATUS_INTERNAL_ERROR"),
    (
        "gpu_handle",
        "gpu_memory",
        "UnknownError: Failed to get convolution algorithm. This is probably because cuDNN failed to initialize",
    ),
    (
        "allocator_empty",
        "gpu_memory",
        "Allocator (GPU_0_bfc) ran out of memory trying to allocate 560.44MiB (rounded to 587661312)requested by op "
        "Relu\nIf the cause is memory fragmentation maybe the environment variable "
        "'TF_GPU_ALLOCATOR=cuda_malloc_async' will improve the situation.",
    ),
    (
        "allocator_empty",
        "host_ram",
        "Allocator (mklcpu) ran out of memory trying to allocate 5.72TiB (rounded to 6291456000000)requested by op\n"
        "If the cause is memory fragmentation maybe the environment variable 'TF_GPU_ALLOCATOR=cuda_malloc_async'",
    ),
    (
        "gpu_tight",
        "gpu_memory",
        "Allocator (GPU_0_bfc) ran out of memory trying to allocate 3.34GiB with freed_by_count=0. The caller "
        "indicates that this is not a failure, but may mean that there could be performance gains if more memory "
        "were available.",
    ),
    ("graph_limit", "graph_limit", "ValueError: Cannot create a tensor proto whose content is larger than 2GB."),
    ("graph_limit", "graph_limit", "ValueError: GraphDef cannot be larger than 2GB."),
    ("disk_full", "disk_full", "OSError: [Errno 28] No space left on device"),
    (
        "disk_full",
        "disk_full",
        "ResourceExhaustedError: /content/cache.data-00000; No space left on device [Op:IteratorGetNext]",
    ),
    ("open_files", "not_memory", "ResourceExhaustedError: scans/3/00001.jpg; Too many open files [Op:ReadFile]"),
    (
        "cuda_versions",
        "not_memory",
        "Loaded runtime CuDNN library: 7.1.2 but source was compiled with: 7.6.0.\nFailed to get convolution "
        "algorithm. This is probably because cuDNN failed to initialize",
    ),
    (
        "shapes_differ",
        "not_memory",
        "ValueError: Exception encountered when calling Sequential.call().\nInput 0 with name 'None' of layer 'dense' "
        "is incompatible with the layer: expected axis -1 of input shape to have value 4, but received input with "
        "shape (None, 5)",
    ),
    (
        "shapes_differ",
        "not_memory",
        "Dimensions must be equal, but are 3 and 2 for '{{node compile_loss/mse/sub}} = Sub[T=DT_FLOAT]'",
    ),
    ("shapes_differ", "not_memory", "ValueError: Shapes (None, 1) and (None, 10) are incompatible"),
    (
        "shapes_differ",
        "not_memory",
        "Filling up shuffle buffer (this may take a while): 46287 of 70000\nMatrix size-incompatible: In[0]: [2,3]",
    ),
    ("lost_shape", "not_memory", "ValueError: Cannot take the length of shape with unknown rank."),
    ("data_ran_out", "not_memory", "UserWarning: Your input ran out of data; interrupting training."),
    (
        "missing_file",
        "not_memory",
        "I tensorflow/core/framework/local_rendezvous.cc:407] Local rendezvous is aborting with status: OUT_OF_RANGE: "
        "End of sequence\nFileNotFoundError: [Errno 2] No such file or directory: 'answer.csv'",
    ),
    ("not_a_number", "not_memory", "Epoch 3/5 125/125 - 2s - accuracy: 0.1000 - loss: nan"),
    (
        "device_set_up_late",
        "not_memory",
        "RuntimeError: Physical devices cannot be modified after being initialized",
    ),
    (
        "colab_quota",
        "not_memory",
        "You cannot currently connect to a GPU due to usage limits in Colab. Learn more",
    ),
    ("native_crash", "not_memory", "Fatal Python error: Segmentation fault"),
    (
        "native_crash",
        "not_memory",
        "Illegal instruction (core dumped)\nKernelRestarter: restarting kernel (1/5), keep random ports",
    ),
    ("recursion", "not_memory", "RecursionError: maximum recursion depth exceeded"),
    ("missing_module", "not_memory", "ModuleNotFoundError: No module named 'keras.preprocessing.image'"),
    ("missing_file", "not_memory", "FileNotFoundError: [Errno 2] No such file or directory: '/content/scans'"),
    (
        "mistake_in_code",
        "not_memory",
        "  File \"a.py\", line 2\n    x = (1\n        ^\nSyntaxError: '(' was never closed",
    ),
    (
        "no_gpu",
        "not_memory",
        "cudart_stub.cc:31] Could not find cuda drivers on your machine, GPU will not be used.\n"
        "failed call to cuInit: INTERNAL: CUDA error: Failed call to cuInit: UNKNOWN ERROR (303)",
    ),
    (
        "memory_error",
        "host_ram",
        "Could not find cuda drivers on your machine, GPU will not be used.\nTraceback:\nMemoryError",
    ),
    ("unknown_reason", "unknown", "Your session crashed for an unknown reason."),
    ("unknown", "unknown", "Everything went well: accuracy 0.98"),
    ("unknown", "unknown", "I remember the skill of the killed-off process 9 of memory lane"),
    ("unknown", "unknown", "This folder contains information from Stack Overflow"),
    ("unknown", "unknown", ""),
]


@pytest.mark.parametrize(("cause", "kind", "text"), TEXTS)
def test_a_pasted_text_finds_its_cause(cause, kind, text):
    found = causes.explain(text)
    assert (found.cause, found.kind) == (cause, kind)
    assert causes.explain(text.encode()) == found


# Texts as programs print them and people paste them, each with its source.
RECORDED = [json.loads(line) for line in (ROOT / "tests" / "error_texts.jsonl").read_text("utf-8").splitlines()]
recorded = pytest.mark.parametrize("row", RECORDED, ids=lambda row: f"{row['cause']}-{row['source'][-40:]}")


@recorded
def test_a_recorded_text_finds_its_cause(row):
    found = causes.explain(row["text"])
    assert (found.cause, found.kind) == (row["cause"], row["kind"])


BEFORE = """\
2025-02-09 09:37:32.334610: E external/local_xla/xla/stream_executor/cuda/cuda_dnn.cc:9261] Unable to register cuDNN \
factory: Attempting to register factory for plugin cuDNN when one has already been registered
W tensorflow/core/platform/default/dso_loader.cc:60] Could not load dynamic library 'libnvinfer.so.7'; dlerror: \
libnvinfer.so.7: cannot open shared object file: No such file or directory
I tensorflow/core/platform/cpu_feature_guard.cc:210] This TensorFlow binary is optimized to use CPU instructions
"""


@recorded
def test_notes_at_the_start_of_a_log_change_nothing(row):
    if causes.explain(row["text"]).kind != "unknown":
        assert causes.explain(BEFORE + row["text"]).cause == row["cause"]


AFTER = "\nKernelRestarter: restarting kernel (1/5), keep random ports\nThe kernel appears to have died."
NO_FAILURE = {"no_gpu", "data_ran_out"}  # what a program prints that goes on
NOT_MEMORY = [text for cause, kind, text in TEXTS if kind == "not_memory" and cause not in NO_FAILURE]
NOT_MEMORY += [row["text"] for row in RECORDED if row["kind"] == "not_memory" and row["cause"] not in NO_FAILURE]


@pytest.mark.parametrize("text", NOT_MEMORY)
def test_a_restarted_kernel_does_not_make_it_memory(text):
    """A reason beside the restart counts, and what is not memory stays so."""
    assert causes.explain(text + AFTER).kind == "not_memory"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "CUDA out of memory. Tried to allocate 4.00 MiB.",
            "refused is for 4.0 MiB. That is little: the memory was full",
        ),
        ("Used 12.34G of 8.00G hbm. Exceeded hbm capacity by 4.34G.", "needed 12,636 MiB and had 8,192 MiB: 4,444 MiB"),
        (
            "=>> PBS: job killed: mem 6291456kb exceeded limit 4194304kb",
            "needed 6,144 MiB and had 4,096 MiB: 2,048 MiB",
        ),
        ("Job 7 exceeded memory limit (6291456 > 4194304), being killed", "needed 6,144 MiB and had 4,096 MiB"),
        ("exceeding memory limits. 8.2 GB of 8 GB physical memory used.", "needed 8,397 MiB and had 8,192 MiB"),
        (
            "CUDA out of memory. Tried to allocate 55.57 GiB. GPU 0 has a total capacity of 12.00 GiB of which "
            "9.02 GiB is free. Of the allocated memory 984.52 MiB is allocated by PyTorch",
            "more than all the memory there is, 12,288 MiB: no setting makes it fit. 9,236 MiB of 12,288 MiB were free",
        ),
        (
            "CUDA out of memory. Tried to allocate 1.70 GiB. GPU 0 has a total capacity of 6.00 GiB of which 2.00 GiB "
            "is free. Of the allocated memory 2.93 GiB is allocated by PyTorch",
            "2,048 MiB were free, but in pieces",
        ),
        (
            "Attempting to reserve 10.51G at the bottom of memory. That was not possible. There are 8.97G free",
            "refused is for 10,762 MiB. 9,185 MiB were free",
        ),
        (
            "bfc_allocator.cc:1080] Stats: \nLimit:                     10608574464\n"
            "InUse:                      9643861504",
            "9,197 MiB of 10,117 MiB were in use",
        ),
        ("Out of memory: Killed process 25315 (python3) total-vm:53312244kB, anon-rss:31451456kB", "held 30,714 MiB"),
        (
            "Received a label value of 10 which is outside the valid range of [0, 10).",
            "a label is 10, and the model has 10",
        ),
        ("Received message larger than max (52383837 vs. 4194304)", "has 52383837 bytes, and the limit is 4194304"),
        (
            "Could not create cudnn handle: CUDNN_STATUS_NOT_INITIALIZED\n"
            "Memory usage: 14582912000 bytes free, 15835660288 bytes total.",
            "so memory is not the reason",
        ),
    ],
)
def test_the_numbers_of_a_text_are_used(text, words):
    assert words in causes.explain(text).why


@pytest.mark.parametrize(
    "text",
    [
        "Epoch 1/5\n1563/1563 - 10s - loss: 0.5 - val_loss: 0.4\nTotal params: 1,234 (4.82 KB)",
        "Successfully completed.\n    Max Memory :  1024 MB\n    Total Requested Memory : 4096.00 MB",
        "JobID State ExitCode\n4711 COMPLETED 0:0\n4712 FAILED 1:0",
        "Process finished with exit code 1",
        "ModuleNotFoundError: No module named 'memory_profiler'",
        "ValueError: memory_limit must be a positive number",
        "We clear the memory with clear_session() and free the GPU memory.",
        "Killed it! Accuracy 99%",
        "docker run --memory 4g --gpus all tensorflow/tensorflow",
        "CUDA error: invalid device ordinal",
        "Allocation of 154140672 exceeds 10% of free system memory.\nValueError: Failed to find data adapter",
        "INFO:jax._src.xla_bridge:Unable to initialize backend 'tpu': INTERNAL: Failed to open libtpu.so",
    ],
)
def test_words_about_memory_alone_do_not_make_it_memory(text):
    assert causes.explain(text).kind in ("not_memory", "unknown")


def test_amounts_of_the_gpu_explain_nothing_about_ram():
    text = (
        "Created device /job:localhost/replica:0/task:0/device:GPU:0 with 1024 MB memory: -> device: 0\n"
        "failed to allocate 6.35G (6814913792 bytes) from device: CUDA_ERROR_OUT_OF_MEMORY\n"
        "MemoryError: Unable to allocate 2.00 GiB for an array with shape (262144, 1024) and data type float64"
    )
    found = causes.explain(text)
    assert (found.cause, found.kind) == ("numpy_allocation", "host_ram")
    assert "2,048 MiB" in found.why and "6,502" not in found.why and "1,024" not in found.why


def test_the_innermost_line_of_ones_own_code_tells():
    traceback = """\
Traceback (most recent call last):
  File "train.py", line 9, in <module>
    model.fit(x, keras.utils.to_categorical(y))
  File "/usr/lib/python3/dist-packages/keras/utils/numerical_utils.py", line 27, in to_categorical
    categorical = np.array(np.zeros((n, classes)))
MemoryError
"""
    assert causes.explain(traceback).cause == "one_hot_labels"


SEEN = [(cause.cause, message) for cause in causes.explanations() for message in causes.seen(cause.cause)]


@pytest.mark.parametrize(("cause", "message"), SEEN)
def test_a_message_that_the_page_shows_alone_finds_its_cause(cause, message):
    assert causes.explain(message).cause == cause
    assert len(message) <= 140


def test_every_cause_that_a_text_shows_has_messages():
    rows = tomllib.loads(Path(causes.__file__).with_name("causes.toml").read_text("utf-8"))["cause"]
    for row in rows:
        assert bool(row["patterns"]) == (1 <= len(causes.seen(row["id"])) <= 3), row["id"]


@pytest.fixture(scope="module")
def pages():
    """The extension that fills the pages of the book."""
    spec = importlib.util.spec_from_file_location("course_pages", ROOT / "book" / "_extensions" / "course_pages.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_code_on_the_page_is_what_can_be_typed(pages):
    page = html.unescape(MarkdownIt().render(pages.causes_table("book/crash-decoder", "")))
    for words in ("--shm-size", "keras.__version__", "pip install 'tensorflow[and-cuda]'"):
        assert f"<code>{words}</code>" in page
    for _, message in SEEN:
        assert f"<code>{message}</code>" in page
    assert MarkdownIt().render(pages._code("`x` and ``y``")) == "<p><code>`x` and ``y``</code></p>\n"


def test_every_link_to_an_entry_of_the_page_has_its_entry(pages):
    introduction = (ROOT / "book" / "crash-decoder.md").read_text("utf-8")
    table = pages.causes_table("book/crash-decoder", "")
    labels = re.findall(r"(?m)^\((cause-.+)\)=$", table)
    assert re.findall(r"\]\(#(.+?)\)", table) == labels  # one each, in the same order
    assert set(re.findall(r"\]\(#(.+?)\)", introduction)) <= set(labels)


def test_every_cause_is_shown_by_a_text_by_a_line_of_code_or_by_the_evidence_of_a_rule():
    shown = {cause for cause, _, _ in TEXTS} | {cause for cause, _ in CODE} | {row["cause"] for row in RECORDED}
    for module in (ROOT / "course_utils" / "postmortem" / "rules").glob("*.py"):
        shown |= set(re.findall(r'"(\w+)"', module.read_text("utf-8")))
    assert shown >= {cause.cause for cause in causes.explanations()} - {"open_figures"}
    assert causes.explain("RuntimeWarning: More than 20 figures have been opened.").cause == "open_figures"


def test_every_explanation_is_whole_and_names_a_lab_of_the_course():
    kinds = {"host_ram", "gpu_memory", "graph_limit", "disk_full", "not_memory", "unknown"}
    for found in causes.explanations():
        assert found.kind in kinds, found.cause
        assert re.fullmatch(r"0\d|1[0-3]|", found.lab), found.cause
        assert found.lab or found.kind in ("not_memory", "unknown"), found.cause
        assert found.why.endswith(".") and found.fix.endswith((".", "'.")), found.cause


def test_an_unknown_id_is_a_sentence():
    with pytest.raises(causes.UnknownCause) as raised:
        causes.seen("gremlins")
    assert str(raised.value).startswith("There is no cause 'gremlins'; the causes are session_crashed, ")


CODE = [
    ("float64_data", "x = np.array(images) / 255"),
    ("float64_data", "x /= 255.0"),
    ("list_then_array", "images = np.stack(images)"),
    ("list_of_images", "pictures.append((pixels, int(path.parent.name)))"),
    ("one_hot_labels", "y = keras.utils.to_categorical(y, 10)"),
    ("tensor_slices", "dataset = tf.data.Dataset.from_tensor_slices((x, y))"),
    ("shuffle_buffer", "for batch in dataset.shuffle(4000).batch(32):"),
    ("cache_in_memory", "dataset = dataset.map(read).cache()"),
    ("image_data_generator", "datagen.fit(x_train)"),
    ("image_data_generator", "flow = generator.flow(x, y, batch_size=32)"),
    ("predict_in_a_loop", "answers.append(model.predict(x))"),
    ("activations", "model.fit(dataset, epochs=3)"),
    ("workers", "data = Scans(folder, workers=8)"),
]


RAM = "Your session crashed after using all available RAM."


@pytest.mark.parametrize(("cause", "line"), CODE)
def test_a_line_of_code_gives_a_likely_cause_in_the_machine_s_ram(cause, line):
    found = causes.explain(f"{line}\n{RAM}")
    assert (found.cause, found.kind) == (cause, "host_ram")


def test_a_division_in_float32_is_not_taken_for_float64():
    assert causes.explain(f'pixels = np.asarray(image, dtype="float32") / 255\n{RAM}').cause == "session_crashed"
    text = "y = tf.cast(y, tf.float32)\nx = x / 255\nYour session crashed after using all available RAM."
    assert causes.explain(text).cause == "float64_data"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "OOM when allocating tensor with shape[24,64,1024,1024] and type float on /job:localhost",
            "float32 array of shape (24, 64, 1024, 1024): 6,144 MiB",
        ),
        (
            "Unable to allocate 844. MiB for an array with shape (4000, 96, 96, 3) and data type float64",
            "float64 array of shape (4000, 96, 96, 3): 844 MiB",
        ),
        (
            "OOM when allocating tensor with shape[2048,436631]",
            "array of shape (2048, 436631), if float32: 3,411 MiB",
        ),
        (
            "OOM when allocating tensor with shape[1024,1024] and type bfloat16",
            "bfloat16 array of shape (1024, 1024): 2.0 MiB",
        ),
        ("tcmalloc: large alloc 1048576000 bytes\ntcmalloc: large alloc 3011936256 bytes", "one block: 2,872 MiB"),
        ("Allocation of 104857600 exceeds 10% of free system memory.", "one block: 100 MiB"),
        ("failed to allocate 8.41G (9029127168 bytes) from device", "one block: 8,612 MiB"),
        ("ran out of memory trying to allocate 560.44MiB (rounded to 587661312)", "one block: 560 MiB"),
        ("Out of memory while trying to allocate 68852648264 bytes.", "one block: 65,663 MiB"),
        ("CUDA out of memory. Tried to allocate 2.00 GiB.", "one block: 2,048 MiB"),
        ("Unable to allocate anything at all", ""),
        ("shape (3, 4) and nothing else", ""),
        ("", ""),
    ],
)
def test_the_allocation_that_a_text_names(text, words):
    assert causes.allocation(text) == words


def test_the_explanation_does_the_arithmetic():
    text = "OOM when allocating tensor with shape[32,64,224,224] and type float on /job/device:GPU:0 [Op:Conv2D]"
    assert "float32 array of shape (32, 64, 224, 224), 392 MiB" in causes.explain(text).why


HOSTILE = {
    "binary": os.urandom(1000).decode("latin-1"),
    "newlines": "\n",
    "blanks": " ",
    "digits": "9",
    "shapes": "OOM when allocating tensor with shape[",
    "dimensions": "1, ",
    "codes": "exit with code ",
    "calls": "ImageDataGenerator(",
    "names": "gen",
    "lists": "[ tf.io.",
    "slashes": "x /=255 ",
    "workers": "workers pool ",
    "devices": "No space left on device /dev/shm ",
    "colours": "\x1b[0;",
    "arrays": "Unable to allocate 1 for an array with shape (1, ",
    "training": "Epoch 1 loss: 1 ",
    "algorithms": "Failed to determine best cudnn convolution ",
    "limits": "exceeded memory killed limit quota ",
    "tensors": "OOM when allocating tensor with shape[1, 1] attention ",
    "frames": 'File "a.py", line 1\n---> 1 x\n',
    "amounts": "Limit: 1 InUse: 1 Used 1 of 1 ",
}


@pytest.mark.parametrize("unit", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_text_takes_time_in_proportion_to_its_length(unit):
    """Eight times the text may take 24 times the time, where a pattern that backtracks takes 64."""

    def processor_time(size: int) -> float:
        text = (unit * size)[:size]
        began = time.process_time()
        assert causes.explain(text).kind
        causes.allocation(text)
        return time.process_time() - began

    short = min(processor_time(25_000) for _ in range(3))
    assert min(processor_time(200_000) for _ in range(2)) <= 24 * max(short, 0.005)
    assert causes.explain(unit * (1_000_000 // len(unit))).kind  # of a text this long only the ends are read


def test_bytes_of_any_kind_are_answered():
    assert causes.explain(os.urandom(3_000_000)).kind


def test_the_end_of_a_huge_log_still_counts():
    log = "I tensorflow/core: Bin (256): Total Chunks: 0\n" * 200_000
    assert causes.explain(log + "MemoryError").cause == "memory_error"
    assert causes.explain("Your session crashed after using all available RAM.\n" + log).cause == "session_crashed"


def test_colours_from_a_notebook_do_not_hide_the_text():
    assert causes.explain("\x1b[0;31mMemory\x1b[0m\x1b[0;31mError\x1b[0m: ").cause == "memory_error"
