"""Files that were damaged or made to do harm: one sentence each, and no memory taken for them."""

import resource
import time

import keras
import pytest

import keras_infobottleneck as kib
from tests.support.compressed_networks import perceptron, spread_out
from tests.support.damaged_networks import damaged

pytestmark = pytest.mark.quick


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    path = tmp_path_factory.mktemp("good") / "good.kib"
    kib.compress(spread_out(perceptron(units=6)), path, seed=1, beam=16, verbose=0)
    return path


def test_damaged_and_hostile_files_are_refused_in_one_sentence(good, tmp_path):
    cases = damaged(good)
    assert len(cases) >= 30
    path = tmp_path / "file.kib"
    wrong = []
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    for name, content in cases.items():
        path.write_bytes(content)
        try:
            kib.decompress(path)
            wrong.append(f"{name}: taken")
        except Exception as error:
            sentence = str(error)
            is_clear = sentence.startswith("`path` must be a file written by `compress`. Received:")
            if type(error) is not ValueError or not is_clear or "\n" in sentence:
                wrong.append(f"{name}: {type(error).__name__} {sentence[:200]}")
            if len(sentence) - len(str(path)) > 200:
                wrong.append(f"{name}: {len(sentence)} characters")
    assert not wrong, "\n".join(wrong)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 300_000  # in kB; a single one of them asks for terabytes
    assert time.process_time() - start < 20


def test_after_refusals_keras_makes_weights_as_ever(good):
    with pytest.raises(ValueError, match="more than 10"):
        kib.decompress(good, max_weights=10)
    layer = keras.layers.Dense(3)
    layer.build([None, 2])
    assert layer.kernel.numpy().shape == (2, 3)
    assert kib.decompress(good).count_params() == 10 * 6 + 6 + 6 * 4 + 4


def test_no_file_is_said_by_the_system_and_a_folder_in_a_sentence(tmp_path):
    with pytest.raises(FileNotFoundError):
        kib.decompress(tmp_path / "absent.kib")
    with pytest.raises(ValueError, match=r"Received: path=.*, a folder"):
        kib.decompress(tmp_path)


def test_what_cannot_stand_in_a_file_is_refused_before_any_work(tmp_path):
    path = tmp_path / "file.kib"
    words = keras.layers.IntegerLookup(vocabulary=[1, 2, 3])
    with pytest.raises(ValueError, match=r"`model` must consist of layers.*Received: .*Lookup"):
        kib.compress(keras.Sequential([keras.Input([2], dtype="int64"), words]), path)
    with pytest.raises(ValueError, match="be a compiled InformationBottleneckModel to be tuned"):
        kib.compress(spread_out(perceptron()), path, finetune=lambda network: None)
    assert not path.exists()


@pytest.mark.parametrize("place", range(0, 60, 5))
def test_any_changed_byte_is_noticed(good, tmp_path, place):
    content = bytearray(good.read_bytes())
    content[place] ^= 0x10
    path = tmp_path / "file.kib"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="`path` must be a file written by `compress`"):
        kib.decompress(path)
