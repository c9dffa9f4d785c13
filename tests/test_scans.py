"""The data set: what lands in the folder, that it is the same every time, and that it is never half there."""

import hashlib
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from course_utils import handwriting, labs, scans
from course_utils.grading.grade import grade_answer
from course_utils.grading.submission import check

SMALL = {"function": "train", "train_count": 30, "hidden_count": 10}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("COURSE_UTILS_CACHE", str(folder))
    return folder


def contents(folder: Path) -> dict[str, str]:
    files = sorted(folder.glob("*/*"))
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def in_another_process(code: str) -> subprocess.Popen:
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, "-c", code], stdout=pipe, stderr=pipe, text=True, env=os.environ)


def test_a_folder_of_rgb_jpegs_with_balanced_classes():
    folder = scans.load("train", count=45, size=40, seed=3)
    assert sorted(path.name for path in folder.iterdir()) == list("0123456789")
    assert {len(list(path.iterdir())) for path in folder.iterdir()} == {4, 5}
    for file in folder.glob("*/*"):
        with Image.open(file) as picture:
            assert (picture.format, picture.mode, picture.size) == ("JPEG", "RGB", (40, 40))


def test_the_same_bytes_whether_drawn_alone_or_by_several_processes(cache, monkeypatch):
    many = contents(scans.load("train", count=600, size=24, seed=7))
    monkeypatch.setenv("COURSE_UTILS_CACHE", str(cache.parent / "elsewhere"))
    few = contents(scans.load("train", count=60, size=24, seed=7))
    assert len(many) == 600
    assert few == {name: many[name] for name in few}


def test_seed_split_and_distortion_change_every_picture():
    base = {"split": "train", "count": 30, "size": 32, "seed": 0}
    seen = [
        contents(scans.load(**(base | change)))
        for change in ({}, {"seed": 1}, {"split": "hidden"}, {"split": "validation"}, {"distorted": True})
    ]
    digests = [digest for folder in seen for digest in folder.values()]
    assert len(set(digests)) == len(digests)


def test_no_original_is_in_two_splits_and_each_split_has_every_class():
    owners: dict[bytes, set[str]] = {}
    for (split, _), originals in handwriting.originals().items():
        for original in originals:
            owners.setdefault(np.asarray(original).tobytes(), set()).add(split)
    assert sum(len(split) for split in owners.values()) == 1797
    assert set(handwriting.originals()) == {(split, label) for split in handwriting.SPLITS for label in range(10)}
    assert min(len(originals) for originals in handwriting.originals().values()) >= 20


@pytest.mark.parametrize("size", [96, 150, 400])
def test_strokes_are_dark_on_light_with_crisp_edges(size):
    for index in range(20):
        picture, _ = scans.draw("train", index, size=size, seed=0)
        grey = np.asarray(picture.convert("L"), float)
        paper, ink = np.percentile(grey, 90), np.percentile(grey, 1)
        assert paper - ink > 60
        share = (paper - grey) / (paper - ink)
        assert 0.02 < (share > 0.5).mean() < 0.45
        # Enlarged 8x8 blocks have as much grey as black; a pen's edge is a thin line.
        assert ((share > 0.3) & (share < 0.7)).mean() < 0.35 * (share > 0.5).mean()


def test_the_handwriting_is_told_apart_by_its_nearest_neighbour():
    def table(split, count):
        drawn = [scans.draw(split, index, size=16, seed=0) for index in range(count)]
        grey = np.stack([np.asarray(picture.convert("L"), float).ravel() for picture, _ in drawn])
        grey -= grey.mean(1, keepdims=True)
        return grey / np.linalg.norm(grey, axis=1, keepdims=True), np.array([label for _, label in drawn])

    (pixels, labels), (unseen, truth) = table("train", 3000), table("hidden", 200)
    assert (labels[(unseen @ pixels.T).argmax(1)] == truth).mean() > 0.7


def test_a_second_call_draws_nothing():
    folder = scans.load("train", count=20, size=16)
    before = {path: path.stat().st_mtime_ns for path in folder.glob("*/*")}
    assert scans.load("train", count=20, size=16, verify=True) == folder
    assert {path: path.stat().st_mtime_ns for path in folder.glob("*/*")} == before


def shrink_a_picture(folder: Path) -> None:
    path = folder / "3" / "00001.jpg"
    path.chmod(0o644)
    with Image.open(path) as picture:
        picture.resize((8, 8)).save(path)


def take_a_picture_out(folder: Path) -> None:
    (folder / "3").chmod(0o755)
    (folder / "3" / "00001.jpg").unlink()


def add_a_file(folder: Path) -> None:
    folder.chmod(0o755)
    (folder / "pixels.npy").write_bytes(b"0")


def put_a_pipe_in_place_of_a_picture(folder: Path) -> None:
    take_a_picture_out(folder)
    os.mkfifo(folder / "3" / "00001.jpg")


@pytest.mark.parametrize("change", [shrink_a_picture, take_a_picture_out, add_a_file, put_a_pipe_in_place_of_a_picture])
def test_a_folder_that_was_changed_is_drawn_again_with_a_sentence(change, cache):
    folder = scans.load("train", count=20, size=16)
    whole = contents(folder)
    change(folder)
    with pytest.warns(UserWarning, match="have changed, so the scans are drawn again"):
        assert scans.load("train", count=20, size=16) == folder
    assert contents(folder) == whole
    assert [path for path in cache.iterdir() if path.is_dir()] == [folder]


@pytest.mark.parametrize("manifest", ["", "{}", "[]", "null", '{"stamps": 1, "content": 2}'])
def test_a_manifest_that_was_overwritten_has_the_folder_drawn_again(manifest, cache):
    folder = scans.load("train", count=20, size=16)
    whole = contents(folder)
    (cache / f".{folder.name}.json").write_text(manifest)
    with pytest.warns(UserWarning, match="have changed"):
        assert scans.load("train", count=20, size=16, verify=True) == folder
    assert contents(folder) == whole


def test_a_change_that_keeps_size_and_time_is_found_by_content():
    folder = scans.load("train", count=20, size=16)
    whole = contents(folder)
    path = folder / "3" / "00001.jpg"
    times = path.stat()
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-3] + b"\0\0\0")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    scans.load("train", count=20, size=16)
    assert contents(folder) != whole
    with pytest.warns(UserWarning, match="drawn again"):
        scans.load("train", count=20, size=16, verify=True)
    assert contents(folder) == whole


def test_a_copied_cache_is_taken_as_it_is(cache, monkeypatch):
    folder = scans.load("train", count=20, size=16)
    shutil.copytree(cache, cache.parent / "copy", copy_function=shutil.copyfile)  # with other times
    monkeypatch.setenv("COURSE_UTILS_CACHE", str(cache.parent / "copy"))
    before = os.stat(cache.parent / "copy" / folder.name).st_ino
    copied = scans.load("train", count=20, size=16)
    assert copied.parent == cache.parent / "copy" and copied.stat().st_ino == before


def test_folders_and_files_are_read_only():
    folder = scans.load("train", count=20, size=16)
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.glob("*/*")} == {0o444}
    assert {stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.iterdir())} == {0o555}


def test_labels_of_hidden_scans_are_for_the_owner_alone():
    folder = scans.load("hidden", count=20, size=16)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o500


@pytest.mark.skipif(os.geteuid() != 0, reason="To become another user needs root.")
def test_another_user_draws_repairs_and_uses_a_cache_that_cannot_be_written(tmp_path):
    """Root may write whatever a mode says, so this takes another user."""
    home = Path(tempfile.mkdtemp())  # pytest's own folders are closed to other users
    try:
        os.chown(home, 65534, 65534)
        environment = os.environ | {"COURSE_UTILS_CACHE": str(home / "cache")}
        steps = """
            import filelock, joblib, os, rich.progress, warnings
            from course_utils import scans
            scans.draw("train", 0, size=16, seed=0)  # all is read that root alone may read
            os.setgroups([]), os.setgid(65534), os.setuid(65534)
            warnings.simplefilter("error")
            folder = scans.load("train", count=20, size=16)
            picture = folder / "3" / "00001.jpg"
            for change in (lambda: picture.write_bytes(b""), picture.unlink, (folder / "x").mkdir):
                try: change()
                except PermissionError: print("refused")
            warnings.simplefilter("ignore")
            picture.chmod(0o644), picture.write_bytes(b"")
            scans.load("train", count=20, size=16)
            print(picture.stat().st_size > 0)
            folder.parent.chmod(0o555)
            scans.load("train", count=20, size=16, verify=True)
            try: scans.load("train", count=30, size=16)
            except scans.ScanError as error: print(error)
        """
        command = [sys.executable, "-c", textwrap.dedent(steps)]
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        assert done.stdout.splitlines()[:4] == ["refused"] * 3 + ["True"], done.stderr
        assert "set COURSE_UTILS_CACHE to a folder that has room" in done.stdout, done.stderr
    finally:
        shutil.rmtree(home)


def test_a_killed_rendering_leaves_nothing_that_looks_complete(cache):
    code = "from course_utils import scans; scans.load('train', count=2000, size=120)"
    process = in_another_process(code)
    while len(list(cache.glob(".*/*/*.jpg"))) < 100:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.02)
    process.kill()
    process.communicate()
    assert [path for path in cache.iterdir() if not path.name.startswith(".")] == []
    folder = scans.load("train", count=2000, size=120)
    assert len(contents(folder)) == 2000
    assert [path for path in cache.iterdir() if path.is_dir()] == [folder]


def test_two_processes_that_ask_at_once_get_one_whole_folder(cache):
    code = (
        "from course_utils import scans; folder = scans.load('hidden', count=700, size=64, seed=5);"
        "print(folder, len(list(folder.glob('*/*.jpg'))))"
    )
    processes = [in_another_process(code) for _ in range(2)]
    answers = [process.communicate() for process in processes]
    assert [process.returncode for process in processes] == [0, 0], answers
    folder = scans.load("hidden", count=700, size=64, seed=5)
    assert {output.strip() for output, _ in answers} == {f"{folder} 700"}
    assert [path for path in cache.iterdir() if path.is_dir()] == [folder]


def test_loading_imports_neither_tensorflow_nor_scikit_learn():
    code = (
        "import sys; from course_utils import scans; scans.load('train', count=10, size=16);"
        "print(sorted({'tensorflow', 'keras', 'sklearn', 'scipy'} & set(sys.modules)))"
    )
    output, complaint = in_another_process(code).communicate()
    assert output.strip() == "[]", complaint


def test_a_script_without_a_main_guard_may_ask(cache, tmp_path):
    script = tmp_path / "plain.py"
    script.write_text("print('once')\nfrom course_utils import scans\nscans.load('train', count=600, size=16)\n")
    run = subprocess.run([sys.executable, str(script)], capture_output=True, text=True)
    assert (run.returncode, run.stdout.split()) == (0, ["once"]), run.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"split": "test"}, "split must be one of train, validation, hidden"),
        ({"split": "train", "count": 0}, "count of scans must be a whole number from 1"),
        ({"split": "train", "count": 2.5}, "not 2.5"),
        ({"split": "train", "size": "150"}, "size of scans must be a whole number from 8 to 4096"),
        ({"split": "train", "size": 5000}, "not 5000"),
        ({"split": "train", "seed": -1}, "seed of scans must be"),
        ({"split": "train", "seed": True}, "not True"),
    ],
)
def test_a_bad_argument_gets_one_sentence(arguments, words):
    with pytest.raises(scans.ScanError, match=words) as raised:
        scans.load(**arguments)
    assert "\n" not in str(raised.value) and str(raised.value).endswith(".")


def test_a_cache_that_cannot_be_written_says_which_and_what_to_do(cache):
    cache.write_text("a file, not a folder")
    with pytest.raises(scans.ScanError, match="set COURSE_UTILS_CACHE") as raised:
        scans.load("train", count=10, size=16)
    assert str(cache) in str(raised.value)


def test_an_interrupted_rendering_leaves_nothing_that_looks_complete(cache):
    process = in_another_process("from course_utils import scans; scans.load('train', count=2000, size=120)")
    while len(list(cache.glob(".*/*/*.jpg"))) < 100:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, complaint = process.communicate()
    assert "KeyboardInterrupt" in complaint
    assert [path for path in cache.iterdir() if not path.name.startswith(".")] == []
    assert len(contents(scans.load("train", count=2000, size=120))) == 2000
    assert len([path for path in cache.iterdir() if path.is_dir()]) == 1


def test_the_drawing_processes_end_with_the_drawing():
    code = (
        "import psutil; from course_utils import scans; scans.load('train', count=600, size=16);"
        "print([c.cmdline() for c in psutil.Process().children(recursive=True) if 'popen_loky' in str(c.cmdline())])"
    )
    output, complaint = in_another_process(code).communicate()
    assert output.strip() == "[]", complaint


def test_an_answer_that_spoils_the_training_pictures_spoils_them_for_nobody_else():
    spoiling = (
        "from PIL import Image\n"
        "def train(folder):\n"
        "    for path in folder.glob('*/*.jpg'):\n"
        "        path.chmod(0o644)\n"
        "        Image.open(path).resize((8, 8)).save(path)\n"
        "    return Image.open(path).size\n"
        "def predict(model, paths): return [model[0]] * len(paths)\n"
    )
    looking = (
        "from PIL import Image\n"
        "def train(folder):\n"
        "    sizes = {Image.open(path).size for path in folder.glob('*/*.jpg')}\n"
        "    if sizes != {(32, 32)}: raise ValueError(f'pictures of {sizes}')\n"
        "    return sizes\n"
        "def predict(model, paths): return [0] * len(paths)\n"
    )
    lab = labs.get("11").model_copy(update=SMALL)
    first = grade_answer(check(lab, [("graded cell", spoiling)]), lab)
    assert first.verdict == "inaccurate", first.message
    with pytest.warns(UserWarning, match="drawn again"):
        second = grade_answer(check(lab, [("graded cell", looking)]), lab)
    assert second.verdict == "inaccurate", second.message


@pytest.mark.parametrize("style", [7, 2**60 + 1])
def test_a_secret_style_decides_what_each_class_holds_and_how_the_paper_lay_in_training_and_hidden_scans_alike(style):
    def means(split: str, style: int) -> np.ndarray:
        total = np.zeros((10, 16, 16))
        for index in range(1500):
            picture, label = scans.draw(split, index, size=16, seed=3, style=style)
            total[label] += np.asarray(picture.convert("L"), float)
        total -= total.mean(axis=(1, 2), keepdims=True)
        return total / np.linalg.norm(total, axis=(1, 2), keepdims=True)

    upright = means("train", 0)
    digits, turns, mirrored = handwriting.manner(style)
    assert sorted(digits) == list(range(10)) and all(digit != label for label, digit in enumerate(digits))
    for split in ("train", "hidden"):
        laid = np.rot90(means(split, style), -turns, axes=(1, 2))
        laid = laid[:, :, ::-1] if mirrored else laid
        assert np.einsum("axy,bxy->ab", laid, upright).argmax(axis=1).tolist() == digits
    assert len({tuple(handwriting.manner(one)[0]) for one in range(1, 50)}) == 49
