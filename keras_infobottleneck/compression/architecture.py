"""The architecture of a network as a short text: Keras' configuration without its usual parts.

For every layer, the file holds only what differs from the template of its class. The templates
and a dictionary of frequent phrases are part of the format (`templates.json`), so that other
versions of Keras read the same file.
"""

from __future__ import annotations

import functools
import json
import pathlib
import zlib
from typing import Any

import keras

from keras_infobottleneck.compression.refused import DamageError
from keras_infobottleneck.introspection.cloning import uncompiled

__all__ = ["packed", "unpacked"]

# Keys of an entry: its class, the template's keys that it lacks, and keys beside the configuration.
CLASS, WITHOUT, BESIDE = "=", "-", "+"
MOST_BYTES, MOST_DEPTH = 1 << 22, 60
# Classes that run code from the file, or read other files.
UNSAFE = {
    *("Lambda", "__lambda__", "__typespec__", "TFSMLayer", "TorchModuleWrapper", "FlaxLayer"),
    *("JaxLayer", "StringLookup", "IntegerLookup", "TextVectorization", "HashedCrossing"),
}
PLAIN = {"__keras_tensor__", "__tuple__", "__numpy__", "__tensor__", "__bytes__", "__ellipsis__"}


@functools.cache
def _format() -> dict[str, Any]:
    return json.loads(pathlib.Path(__file__).with_name("templates.json").read_text("utf-8"))


def packed(network: keras.Model) -> bytes:
    """The network's architecture, compressed."""
    entry = uncompiled(keras.saving.serialize_keras_object(network))
    entry = json.loads(json.dumps(entry))
    _check_safe(entry)
    text = json.dumps(_reduced(entry), separators=(",", ":"), ensure_ascii=False).encode()
    packer = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zlib.Z_DEFAULT_STRATEGY, _phrases())
    return packer.compress(text) + packer.flush()


def unpacked(content: bytes) -> dict[str, Any]:
    """The configuration from which Keras builds the network; it cannot run code of the file.

    Raises:
        DamageError: The text is damaged, or has classes that are not accepted.
    """
    unpacker = zlib.decompressobj(-15, zdict=_phrases())
    try:
        text = unpacker.decompress(content, MOST_BYTES)
    except zlib.error:
        raise DamageError("an architecture that cannot be unpacked") from None
    if not unpacker.eof or unpacker.unused_data:
        raise DamageError("an architecture of another length than it says")
    try:
        reduced = json.loads(text)
    except (ValueError, RecursionError):
        raise DamageError("an architecture that is no JSON") from None
    entry = _expanded(reduced)
    if not isinstance(entry, dict) or "class_name" not in entry:
        raise DamageError("an architecture that is no network")
    _check_safe(entry)
    return entry


def _phrases() -> bytes:
    return _format()["phrases"].encode()


def _reduced(value: Any) -> Any:
    """The value without what its templates contain."""
    if isinstance(value, list):
        return [_reduced(each) for each in value]
    if not isinstance(value, dict):
        return value
    kind, config = value.get("class_name"), value.get("config")
    template: Any = _format()["templates"].get(kind) if isinstance(kind, str) else None
    own = {"class_name", "config", "module", "registered_name", "build_config"}
    if (
        template is None
        or not isinstance(config, dict)
        or any(value.get(k) != v for k, v in template.items() if k != "config")
    ):
        return {key: _reduced(each) for key, each in value.items() if key != "build_config"}
    usual = template["config"]
    reduced: dict[str, Any] = {CLASS: kind}
    missing = object()
    for key, each in config.items():
        if key != "build_input_shape" and usual.get(key, missing) != each:
            reduced[key] = _reduced(each)
    without = [key for key in usual if key not in config]
    beside = {key: _reduced(each) for key, each in value.items() if key not in own}
    return reduced | ({WITHOUT: without} if without else {}) | ({BESIDE: beside} if beside else {})


def _expanded(value: Any, depth: int = 0) -> Any:
    """The value with what its templates contain."""
    if depth > MOST_DEPTH:
        raise DamageError("an architecture of too many layers within layers")
    if isinstance(value, list):
        return [_expanded(each, depth + 1) for each in value]
    if not isinstance(value, dict):
        return value
    if CLASS not in value:
        return {key: _expanded(each, depth + 1) for key, each in value.items()}
    template = _format()["templates"].get(value[CLASS]) if isinstance(value[CLASS], str) else None
    without, beside = value.get(WITHOUT, []), value.get(BESIDE, {})
    if template is None or not isinstance(without, list) or not isinstance(beside, dict):
        raise DamageError("an architecture with an unknown template")
    config = {k: v for k, v in template["config"].items() if k not in without}
    for key, each in value.items():
        if key not in (CLASS, WITHOUT, BESIDE):
            config[key] = _expanded(each, depth + 1)
    entry = {k: v for k, v in template.items() if k != "config"}
    entry |= {"class_name": value[CLASS], "config": config}
    return entry | {key: _expanded(each, depth + 1) for key, each in beside.items()}


def _check_safe(value: Any) -> None:
    """Refuses classes that are neither Keras' own nor registered, or that run code of a file."""
    if isinstance(value, list):
        for each in value:
            _check_safe(each)
    if not isinstance(value, dict):
        return
    if "class_name" in value:
        kind, module = value["class_name"], value.get("module")
        registered = keras.saving.get_registered_object(str(value.get("registered_name")))
        of_keras = isinstance(module, str) and f"{module}.".startswith("keras.")
        if kind in UNSAFE or not (of_keras or registered or kind in PLAIN):
            raise DamageError(f"a layer of class {str(kind)[:60]!r}, which is not taken")
    for each in value.values():
        _check_safe(each)
