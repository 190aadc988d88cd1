"""A file is there whole or as it was: for several writers, readers, links, and a full disk."""

import errno
import os
import resource
import signal
import stat
import subprocess
import sys
import threading
import time

import pytest

from keras_infobottleneck.arguments import check_file
from keras_infobottleneck.results import files
from keras_infobottleneck.results.files import whole_file, write_text

SIZE = 200_000

# A process that fills a file with one letter, again and again, by the module alone: without its
# check of the path, which would bring in Keras.
WRITER = """
import importlib.util, os, sys, types
arguments = types.ModuleType("arguments")
arguments.check_file = lambda name, path: os.path.realpath(path)
sys.modules["keras_infobottleneck"] = types.ModuleType("keras_infobottleneck")
sys.modules["keras_infobottleneck.arguments"] = arguments
spec = importlib.util.spec_from_file_location("files", sys.argv[1])
files = importlib.util.module_from_spec(spec)
spec.loader.exec_module(files)
for _ in range(int(sys.argv[4])):
    files.write_text(sys.argv[2], sys.argv[3] * 200_000)
"""


def writer(path, letter, times):
    command = [sys.executable, "-c", WRITER, files.__file__, os.fspath(path), letter, str(times)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def is_whole(content):
    return len(content) == SIZE and len(set(content)) == 1


def test_several_processes_write_while_one_reads(tmp_path):
    path = tmp_path / "file.txt"
    write_text(path, "-" * SIZE)
    writers = [writer(path, letter, 40) for letter in "abc"]
    seen = set()
    while any(process.poll() is None for process in writers):
        content = path.read_text()
        assert is_whole(content)
        seen.add(content[0])
    for process in writers:
        _, error = process.communicate()
        assert (process.returncode, error) == (0, "")
    assert seen & set("abc")
    assert os.listdir(tmp_path) == ["file.txt"]


def test_several_threads_write_at_once(tmp_path):
    path, failures = tmp_path / "file.txt", []

    def write(letter):
        try:
            for _ in range(20):
                write_text(path, letter * SIZE)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(letter,)) for letter in "abcd"]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert not path.exists() or is_whole(path.read_text())
    assert failures == []
    assert is_whole(path.read_text())
    assert os.listdir(tmp_path) == ["file.txt"]


def test_a_kill_loses_nothing(tmp_path):
    path = tmp_path / "file.txt"
    write_text(path, "-" * SIZE)
    for _ in range(3):
        process = writer(path, "a", 10**6)
        deadline = time.monotonic() + 60
        while path.read_text()[0] != "a" and time.monotonic() < deadline:
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert is_whole(path.read_text())


def test_an_exception_leaves_the_file_as_it_was_and_nothing_beside_it(tmp_path):
    path = tmp_path / "file.txt"
    write_text(path, "before")

    def fail(error):
        with whole_file(path) as stream:
            stream.write(b"half")
            raise error

    for error in (RuntimeError, KeyboardInterrupt):
        with pytest.raises(error):
            fail(error)
    assert path.read_text() == "before"
    assert os.listdir(tmp_path) == ["file.txt"]


@pytest.mark.parametrize("call", ["write", "fsync", "replace"])
def test_a_full_disk_keeps_what_was_there(call, tmp_path, monkeypatch):
    path = tmp_path / "file.txt"
    write_text(path, "before")

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if call != "write":
        monkeypatch.setattr(os, call, full)
    said = r"^\[Errno 28\] `csv_path` must be .* Received: csv_path='.*file.txt' \(No space left"

    def write():
        with whole_file(path, "csv_path") as stream:
            stream.write(b"after")
            if call == "write":
                full()

    with pytest.raises(OSError, match=said):
        write()
    monkeypatch.undo()
    assert path.read_text() == "before"
    assert os.listdir(tmp_path) == ["file.txt"]


def test_a_file_that_grows_past_what_is_allowed_keeps_what_was_there(tmp_path):
    path = tmp_path / "file.txt"
    write_text(path, "before")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    # The signal is ignored by Python: the write itself fails, as on a full disk.
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            write_text(path, "x" * SIZE)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_text() == "before"
    assert os.listdir(tmp_path) == ["file.txt"]


def test_a_link_stays_and_its_target_is_replaced(tmp_path):
    (tmp_path / "folder").mkdir()
    target, link, second = tmp_path / "folder" / "file.txt", tmp_path / "link", tmp_path / "second"
    link.symlink_to("folder/file.txt")
    second.symlink_to(link)
    for text in ("first", "again"):  # of a link that leads to nothing yet, then to a file
        write_text(second, text)
        assert link.is_symlink()
        assert second.is_symlink()
        assert target.read_text() == text
    assert os.listdir(tmp_path / "folder") == ["file.txt"]


def test_a_link_in_the_way_of_the_partial_file_is_not_followed(tmp_path, monkeypatch):
    foreign = tmp_path / "foreign.txt"
    foreign.write_text("precious")
    monkeypatch.setattr(files.secrets, "token_hex", lambda _: "same")
    (tmp_path / ".same.partial").symlink_to(foreign)
    with pytest.raises(FileExistsError):
        write_text(tmp_path / "file.txt", "mine")
    assert foreign.read_text() == "precious"


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664, 0o755])
def test_the_mode_stays(mode, tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("before")
    path.chmod(mode)
    write_text(path, "after")
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_a_new_file_has_the_mode_of_any_new_file(tmp_path):
    (tmp_path / "plain.txt").write_text("")
    write_text(tmp_path / "file.txt", "")
    assert (tmp_path / "file.txt").stat().st_mode == (tmp_path / "plain.txt").stat().st_mode


def test_a_folder_that_cannot_be_written_to_is_one_sentence(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), "a name of no interest")

    monkeypatch.setattr(os, "open", refuse)
    path = tmp_path / "file.txt"
    with pytest.raises(PermissionError) as refused:
        write_text(path, "mine")
    assert str(refused.value) == (
        "[Errno 13] `path` must be a file that can be written; what was there is as it was. "
        f"Received: path={os.fspath(path)!r} (Permission denied)"
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is protected from root")
def test_what_is_protected_from_writing_stays(tmp_path):
    path = tmp_path / "folder" / "file.txt"
    path.parent.mkdir()
    path.write_text("before")
    path.chmod(0o444)
    with pytest.raises(PermissionError, match="Received: path="):
        write_text(path, "after")
    path.chmod(0o644)
    path.parent.chmod(0o555)
    with pytest.raises(PermissionError, match="Received: path="):
        write_text(path, "after")
    path.parent.chmod(0o755)
    assert path.read_text() == "before"


def places(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    os.mkfifo(tmp_path / "pipe")
    names = ("folder", "loop", "pipe", "missing/file.txt", "")
    return [tmp_path / name for name in names] + ["", os.devnull]


def test_what_is_no_file_in_a_folder_that_exists_is_refused_before_any_work(tmp_path):
    for path in places(tmp_path):
        with pytest.raises(
            ValueError, match=r"^`csv_path` must be a file in a folder that exists\. "
        ):
            check_file("csv_path", path)
    for path in (None, 3, b"file", ["file"]):
        with pytest.raises(TypeError, match=r"^`path` must be a path\. Received: path="):
            check_file("path", path)
