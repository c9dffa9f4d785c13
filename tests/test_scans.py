"""The data set: what lands in the folder, that it is the same every time, and that it is never half there."""

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from course_utils import scans


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
    for (split, _), originals in scans._originals().items():
        for original in originals:
            owners.setdefault(np.asarray(original).tobytes(), set()).add(split)
    assert sum(len(split) for split in owners.values()) == 1797
    assert set(scans._originals()) == {(split, label) for split in scans.SPLITS for label in range(10)}
    assert min(len(originals) for originals in scans._originals().values()) >= 20


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


def test_a_second_call_draws_nothing_and_a_missing_file_is_drawn_again():
    folder = scans.load("train", count=20, size=16)
    before = {path: path.stat().st_mtime_ns for path in folder.glob("*/*")}
    assert scans.load("train", count=20, size=16) == folder
    assert {path: path.stat().st_mtime_ns for path in folder.glob("*/*")} == before
    whole = contents(folder)
    (folder / "3" / "00001.jpg").unlink()
    assert contents(scans.load("train", count=20, size=16)) == whole


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
