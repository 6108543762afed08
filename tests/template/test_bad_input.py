"""Whatever is brought to `inspect`, `new` and `add`: it works, or says what, where and what to do, and leaves nothing behind."""

import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from hardcover.cli.main import main
from tests import projects
from tests.conftest import BIN

SOAK = os.environ.get("HYPOTHESIS_PROFILE") == "soak"
NOISE = random.Random(0)


def _rows(header, row, count=120):
    return header + "\n" + "".join(f"{row(number)}\n" for number in range(count))


def _number(_):
    return f"{NOISE.gauss(0, 1):.3f}"


def _day(number):
    day, month = 10 + number % 9, 1 + number % 9
    forms = [
        f"2024-0{month}-{day}",
        f"{day}/0{month}/2024",
        f"0{month}/{day}/2024",
        f"{day} Mar 2024",
        f"202403{day}",
    ]
    return forms[number % 5]


ORDINARY = _rows("größe,b,y", lambda n: f"{_number(n)},ä{n % 3},{NOISE.randint(0, 1)}")
# The file's content; what `inspect` says or None where it refuses; what `new` says, None where it writes a project.
FILES = {
    "no target": (_rows("a,b", lambda n: f"{_number(n)},{n % 2}"), None, "unknown column 'y'"),
    "one row": ("a,b,y\n1,2,0\n", "1 row is too few", "1 row is too few"),
    "a header alone": ("a,b,y\n", "0 rows are too few", "0 rows are too few"),
    "one column": (_rows("y", lambda n: n % 2), "binary", "no column is left"),
    "all values missing": (_rows("a,b,y", lambda n: f",NA,{n % 2}"), "cannot use a", "no column is left"),
    "a target that is always missing": (_rows("a,y", lambda n: f"{_number(n)},"), "missing in all rows", "missing in all rows"),
    "duplicate and empty names": (_rows("a,a,,y", lambda n: f"{_number(n)},{n % 5},{n % 3},{n % 2}"), "two columns 'a'", None),
    "mixed types": (_rows("a,b,y", lambda n: f"{NOISE.choice(['x', n, '', 2.5])},{_number(n)},{n % 2}"), "binary", None),
    "dates in five formats": (_rows("d,b,y", lambda n: f"{_day(n)},{_number(n)},{n % 2}"), "left as text", None),
    "500 classes": (_rows("a,y", lambda n: f"{_number(n)},class {n % 500}", 1500), "has 500 classes", "has 500 classes"),
    "a target of text": (_rows("a,y", lambda n: f"{_number(n)},the {n} of it and {n} more"), "no table predicts it", "no model can be asked"),
    "UTF-16": (ORDINARY.encode("utf-16"), "utf-16", None),
    "mojibake": (ORDINARY.encode().decode("latin-1"), "were damaged before", None),
    "a binary file": (bytes(range(256)) * 50, None, "not a table of text"),
    "an empty file": ("", None, "the file is empty"),
    "many columns": (
        _rows(",".join(f"c{n}" for n in range(10_000 if SOAK else 300)) + ",y",
              lambda n: ",".join(_number(n) for _ in range(10_000 if SOAK else 300)) + f",{n % 2}", 40),
        "binary", None,
    ),
}  # fmt: skip


@pytest.fixture
def said(tmp_path, monkeypatch, capsys):
    """Return a function that runs a command in an empty folder, and returns its exit code and all that it says."""
    monkeypatch.chdir(tmp_path)
    # Reads are not writes: what a command makes for itself is gone when it is over.
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()

    def run(*words):
        code = main([*map(str, words)])
        caught = capsys.readouterr()
        return code, caught.out + caught.err

    return run


@pytest.mark.parametrize("name", FILES)
def test_inspect_says_what_a_file_holds_or_why_it_cannot(said, tmp_path, name):
    content, wanted, _ = FILES[name]
    file = tmp_path / "table.csv"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    code, text = said("inspect", file, "--target", "y")
    if wanted is None:
        assert code == 1
        assert "error: " in text
        assert "table.csv" in text
    else:
        assert code == 0, text
        assert wanted.lower() in text.lower()
    assert {path.name for path in tmp_path.iterdir()} == {"table.csv", "tmp"}
    assert not list((tmp_path / "tmp").iterdir())


@pytest.mark.parametrize("name", FILES)
def test_new_writes_a_whole_project_or_nothing(said, tmp_path, name):
    content, _, refused = FILES[name]
    file = tmp_path / "table.csv"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    code, text = said("new", "own", "--data", file, "--target", "y", "--yes")
    if refused is None:
        assert code == 0, text
        assert (tmp_path / "own" / "src" / "own" / "own" / "data.py").exists()
    else:
        assert code == 1
        assert refused in text
        assert not (tmp_path / "own").exists()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("folder", "a folder, not a file"),
        ("nothing.csv", "there is no such file"),
        ("C:\\data\\table.csv", "A path of Windows is none here"),
        ("\\\\server\\share\\table.csv", "A path of Windows is none here"),
        ("folder/nothing/table.csv", "there is no such file"),
    ],
)
def test_a_path_that_leads_nowhere_is_said(said, tmp_path, path, wanted):
    (tmp_path / "folder").mkdir()
    for words in (["inspect", path], ["new", "own", "--data", path, "--target", "y", "--yes"]):
        code, text = said(*words)
        assert code == 1
        assert wanted in text, text
    assert not (tmp_path / "own").exists()


@pytest.mark.parametrize(
    "name", ["C:\\projects\\own", "own project", "class", "tests", "1st", "größe", "..", "/", ""]
)
def test_a_project_whose_name_no_package_can_have_is_refused_with_one_that_could(said, tmp_path, name):
    before = sorted(tmp_path.iterdir())
    code, text = said("new", name)
    assert code == 1
    assert "such as" in text or "already" in text, text
    assert sorted(tmp_path.iterdir()) == before


def test_a_file_that_may_not_be_read_is_said(said, tmp_path):
    with tempfile.TemporaryDirectory() as open_to_all:
        folder = Path(open_to_all)
        folder.chmod(0o755)
        file = folder / "secret.csv"
        file.write_text(ORDINARY)
        said("inspect", file, "--target", "y")  # imports everything while it still may
        file.chmod(0o000)
        is_root = os.geteuid() == 0
        if is_root:
            os.seteuid(65534)
        try:
            code, text = said("inspect", file, "--target", "y")
        finally:
            if is_root:
                os.seteuid(0)
    assert code == 1
    assert "the file cannot be read: Permission denied" in text


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Return a file, and a project to add it to."""
    folder = tmp_path_factory.mktemp("bad")
    (folder / "orders.csv").write_text(_rows("a,b,y", lambda n: f"{_number(n)},{_number(n)},{n % 2}", 200))
    project = projects.write(folder / "small", ["binary"])
    projects.call(project, "nbdev-export")
    return folder / "orders.csv", project


def _start(*words, **options):
    return subprocess.Popen(
        [BIN / "hardcover", *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options
    )


def _wait_for_our_code(process):
    """Wait until Python has started, in which time it answers Ctrl-C by itself, and the command has taken that over, or has ended."""
    status = Path(f"/proc/{process.pid}/status")
    for pythons in (True, False):
        while True:
            said = status.read_text()
            caught = int(re.search(r"SigCgt:\s*(\w+)", said)[1], 16) >> (signal.SIGINT - 1) & 1
            if caught == pythons or "State:\tZ" in said:
                break
            time.sleep(0.001)


def _content(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"}


# A full disk is a write that the operating system refuses; so is one beyond a limit, which needs no disk of its own.
@pytest.mark.parametrize("limit", [0, 500, 4_000])
def test_a_disk_that_is_full_leaves_nothing(small, tmp_path, limit):
    file, project = small

    def full():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    before = _content(project)
    words = ("own", "--data", file, "--target", "y", "--yes")
    for verb, where in (("new", tmp_path), ("add", project)):
        process = _start(verb, *words, cwd=where, preexec_fn=full)
        text, _ = process.communicate()
        assert process.returncode == 1, text
        assert "error: " in text
        assert "Traceback" not in text
    assert _content(project) == before
    assert not list(tmp_path.iterdir())


def test_ctrl_c_at_any_moment_leaves_nothing_or_all(small, tmp_path):
    file, project = small
    before = _content(project)
    moments = [0.04 * number for number in range(110)] if SOAK else [0.2, 0.4, 1.0, 1.7]
    for moment in moments:
        processes = [
            _start(
                "new", "own", "--data", file, "--target", "y", "--yes", cwd=tmp_path, start_new_session=True
            ),
            _start(
                "add", "own", "--data", file, "--target", "y", "--yes", cwd=project, start_new_session=True
            ),
        ]
        for process in processes:
            _wait_for_our_code(process)
        time.sleep(moment)
        for process in processes:
            # As a terminal does: to the command and what it started.
            os.killpg(process.pid, signal.SIGINT)
        texts = [process.communicate()[0] for process in processes]
        assert not [text for text in texts if "Traceback" in text], texts
        # Between the last word and the end of a process there is a moment, too.
        if "written: " in texts[0]:
            shutil.rmtree(tmp_path / "own")
        assert not list(tmp_path.iterdir()), texts[0]
        if "written: " in texts[1]:
            assert (project / "notebooks" / "own").is_dir()
            for path in [path for path in _content(project) if path not in before]:
                path.unlink()
            for path, content in before.items():
                path.write_bytes(content)
        assert _content(project) == before


@pytest.mark.skipif(not SOAK, reason="two gigabytes: make soak")
def test_a_file_of_two_gigabytes_is_sampled_and_says_so(tmp_path):
    file = tmp_path / "large.csv"
    block = "".join(f"{_number(n)},{_number(n)},{n % 2},{'x' * 60}{n}\n" for n in range(20_000))
    with file.open("w") as stream:
        stream.write("a,b,y,text\n")
        while stream.tell() < 2_000_000_000:
            stream.write(block)
    process = _start("inspect", file, "--target", "y", "--json")
    found = json.loads(process.communicate()[0])
    assert process.returncode == 0
    assert any("rows drawn at random" in warning for warning in found["warnings"])
