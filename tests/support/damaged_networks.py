"""Files that are no compressed network, or ask for what no file may ask for, one fault each."""

import json
import zlib

from keras_infobottleneck.compression import architecture
from keras_infobottleneck.compression.container import read_parts

LENGTH_TOO_LONG = b"\xff\xff\xff\xff\x0f"


def file(body, magic=b"KIB", version=1):
    """A file with a checksum that is right."""
    return magic + bytes([version]) + zlib.crc32(body).to_bytes(4, "little") + body


def body(packed, weights):
    """Architecture, with its length, and weights."""
    length = bytes([len(packed) & 127 | 128, len(packed) >> 7])
    return length + packed + weights


def packed(text):
    """Any text as an architecture."""
    content = text.encode() if isinstance(text, str) else text
    phrases = architecture._phrases()
    packer = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zlib.Z_DEFAULT_STRATEGY, phrases)
    return packer.compress(content) + packer.flush()


def dense(**options):
    config = {"=": "Dense", "name": "dense", "units": 4, **options}
    return {
        "=": "Sequential",
        "name": "s",
        "layers": [{"=": "InputLayer", "batch_shape": [None, 3], "name": "i"}, config],
    }


def layer(entry):
    return {**dense(), "layers": [dense()["layers"][0], entry]}


def damaged(path):
    """Name to content, each refused; from a file that is right."""
    with open(path, "rb") as stream:
        good = stream.read()
    network, weights = read_parts(path)

    def of(entry, stream=weights):
        return file(body(packed(json.dumps(entry)), stream))

    def class_of(name, module="keras.layers", **config):
        entry = {"module": module, "class_name": name, "config": config, "registered_name": None}
        return of(layer(entry))

    nested: dict = dense()
    for _ in range(70):
        nested = {"=": "Sequential", "name": "s", "layers": [nested]}
    return {
        "empty": b"",
        "magic alone": b"KIB",
        "no checksum": good[:6],
        "header alone": good[:8],
        "cut in the architecture": good[:20],
        "cut by a byte": good[:-1],
        "cut to half": good[: len(good) // 2],
        "a byte behind": good + b"\0",
        "twice": good + good,
        "another magic": b"PK\x03\x04" + good[4:],
        "random": bytes(range(256)) * 3,
        "version 0": good[:3] + b"\0" + good[4:],
        "version 2": good[:3] + b"\2" + good[4:],
        "another checksum": good[:4] + b"abcd" + good[8:],
        "a bit in the weights": good[:-3] + bytes([good[-3] ^ 1]) + good[-2:],
        "a bit in the architecture": good[:15] + bytes([good[15] ^ 8]) + good[16:],
        "no body": file(b""),
        "an endless length": file(LENGTH_TOO_LONG + network + weights),
        "a length beyond the file": file(b"\xff\x7f" + network),
        "no packed architecture": file(body(b"\xff" * 40, weights)),
        "a cut architecture": file(body(network[:-4], weights)),
        "a longer architecture": file(body(network + b"\0\0", weights)),
        "an architecture that swells": file(body(packed(b" " * (1 << 23)), weights)),
        "no JSON": file(body(packed("{not JSON"), weights)),
        "no text": file(body(packed(b"\xff\xfe\xfa"), weights)),
        "deep JSON": file(body(packed("[" * 100_000), weights)),
        "a number": of(3),
        "a list": of([dense()]),
        "no network": of(dense()["layers"][1]),
        "an unknown template": of({"=": "NoSuchLayer"}),
        "a template that is no name": of({"=": ["Dense"]}),
        "layers within layers": of(nested),
        "a layer that Keras lacks": class_of("NoSuchLayer"),
        "Lambda": class_of("Lambda", function="print"),
        "a lambda": of(dense(activation={"class_name": "__lambda__", "config": {"value": "x"}})),
        "a saved model": class_of("TFSMLayer", filepath="/etc"),
        "a vocabulary of a file": class_of("StringLookup", vocabulary="/etc/passwd"),
        "another module": class_of("system", "os", command="true"),
        "a module like Keras": class_of("Dense", "kerasx.layers", units=3),
        "negative units": of(dense(units=-4)),
        "units that are text": of(dense(units="many")),
        "absurd units": of(dense(units=10**12)),
        "many more weights": of(dense(units=40_000_000)),
        "another network's weights": of(dense(units=300)),
        "no weights": of(dense(), b""),
        "weights cut": of(json.loads(json.dumps(dense())), weights[:2]),
        "weights of ones": of(dense(), b"\xff" * 30),
        "weights of a larger network": of(dense(units=1), weights),
    }
