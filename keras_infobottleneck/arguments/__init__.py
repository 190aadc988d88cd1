"""Checks of the arguments of public functions, one function for each, before any work.

There is one rule: TypeError for a value of the wrong type (text, None, a fraction where a count is
expected, an array where a number is expected), ValueError for a wrong value of the right type. The
message is one sentence with the name of the argument, what was expected and what was received.
"""

from keras_infobottleneck.arguments.arrays import check_integers, check_numbers
from keras_infobottleneck.arguments.mappings import check_named_numbers
from keras_infobottleneck.arguments.names import check_names
from keras_infobottleneck.arguments.values import (
    check_choice,
    check_count,
    check_file,
    check_flag,
    check_instance,
    check_keywords,
    check_layer,
    check_model,
    check_number,
    check_path,
    check_positive,
    check_price,
    check_probability,
    check_probes,
    check_seed,
    check_text,
    check_verbose,
    described,
    refusal,
    seed_or_fresh,
)

__all__ = [
    "check_choice",
    "check_count",
    "check_file",
    "check_flag",
    "check_instance",
    "check_integers",
    "check_keywords",
    "check_layer",
    "check_model",
    "check_named_numbers",
    "check_names",
    "check_number",
    "check_numbers",
    "check_path",
    "check_positive",
    "check_price",
    "check_probability",
    "check_probes",
    "check_seed",
    "check_text",
    "check_verbose",
    "described",
    "refusal",
    "seed_or_fresh",
]
