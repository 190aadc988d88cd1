"""The commands, in the order in which the help lists them."""

from __future__ import annotations

from keras_infobottleneck.command_line.audit_command import AUDIT
from keras_infobottleneck.command_line.certify_command import CERTIFY
from keras_infobottleneck.command_line.command import Command
from keras_infobottleneck.command_line.compare_command import COMPARE
from keras_infobottleneck.command_line.compress_command import COMPRESS
from keras_infobottleneck.command_line.decompress_command import DECOMPRESS

__all__ = ["COMMANDS"]

COMMANDS: tuple[Command, ...] = (AUDIT, COMPARE, CERTIFY, COMPRESS, DECOMPRESS)
