"""Files that are no complete NumPy archive of plain arrays, each wrong in one way."""

import io
import struct
import warnings
import zipfile

import numpy as np


def npy(array):
    """A member's bytes."""
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.asanyarray(array))
    return stream.getvalue()


def npy_with(header, version=(1, 0), content=b""):
    """A member with a header of one's own."""
    text = header.encode() + b"\n"
    length = struct.pack("<H" if version == (1, 0) else "<I", len(text))
    return b"\x93NUMPY" + bytes(version) + length + text + content


def archive(members, method=zipfile.ZIP_STORED):
    """A zip file of pairs of name and bytes."""
    stream = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(stream, "w", method) as file:
        warnings.simplefilter("ignore")  # of a name that is there twice
        for name, content in members:
            file.writestr(f"{name}.npy", content)
    return stream.getvalue()


def header(descr, shape):
    return str({"descr": descr, "fortran_order": False, "shape": shape})


def _with_flag(content, flag):
    """Every entry of the directory and every member with a bit of its flags set."""
    content = bytearray(content)
    for signature, place in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        start = content.find(signature)
        while start >= 0:
            content[start + place] |= flag
            start = content.find(signature, start + 4)
    return bytes(content)


def _patched(content, place, value):
    """Every entry of the directory with another number of four bytes at a place."""
    content = bytearray(content)
    start = content.find(b"PK\x01\x02")
    while start >= 0:
        content[start + place : start + place + 4] = struct.pack("<I", value)
        start = content.find(b"PK\x01\x02", start + 4)
    return bytes(content)


def damaged(arrays, name):
    """What is wrong to bytes, for the good arrays of a file and the name of one to spoil.

    Args:
        arrays: name to array.
        name: of an array of floats or integers with at least one axis.
    """
    members = [(key, npy(value)) for key, value in arrays.items()]
    whole = archive(members)
    array = np.asarray(arrays[name])
    code = np.lib.format.dtype_to_descr(array.dtype)

    def spoiled(content):
        return archive([(key, content if key == name else old) for key, old in members])

    flipped = bytearray(whole)
    flipped[whole.find(npy(array)) + len(npy(array)) - 1] ^= 0x40
    data = array.tobytes()
    wrong = {
        "empty": b"",
        "text": b"accuracy,loss\n0.5,1.2\n",
        "a web page": b"<!DOCTYPE html><html>404</html>",
        "noise": np.random.default_rng(0).bytes(5_000),
        "a single array": npy(array),
        "cut in half": whole[: len(whole) // 2],
        "cut by a byte": whole[:-1],
        "without its directory": whole[: whole.find(b"PK\x01\x02")],
        "without its beginning": whole[len(whole) // 2 :],
        "a flipped bit": bytes(flipped),
        "an archive of nothing": archive([]),
        "a member twice": archive([*members, (name, npy(array))]),
        "encrypted": _with_flag(whole, 1),
        "members of gigabytes": _patched(_patched(whole, 20, 2**31), 24, 2**31),
        "members on top of each other": _patched(whole, 42, 0),
        "compressed in an unknown way": _patched(whole, 10, 97),
        "2.8 PiB": spoiled(npy_with(header(code, (400_000_000_000_000,)), content=data)),
        "2^70 numbers": spoiled(npy_with(header(code, (2**70,)), content=data)),
        "a negative length": spoiled(npy_with(header(code, (-1,)), content=data)),
        "a longer array than there is": spoiled(
            npy_with(header(code, (array.size + 1,)), content=data)
        ),
        "bytes behind an array": spoiled(npy(array) + b"more"),
        "a header that is none": spoiled(npy_with("{'descr': ", content=data)),
        "a header that runs code": spoiled(
            npy_with(f"__import__('os').abort() or {header(code, array.shape)}", content=data)
        ),
        "a header of another key": spoiled(npy_with("{'shape': (1,)}", content=data)),
        "a header of 70 kB": spoiled(
            npy_with(header(code, array.shape) + " " * 70_000, (2, 0), data)
        ),
        "an unknown type": spoiled(npy_with(header("<z9", array.shape), content=data)),
        "an unknown version": spoiled(npy_with(header(code, array.shape), (9, 9), data)),
        "no array": spoiled(b"words"),
        "pickled objects": spoiled(npy_with(header("|O", (1,)), content=b"\x80\x04N.")),
    }
    assert len(set(wrong.values())) == len(wrong)
    return whole, wrong
