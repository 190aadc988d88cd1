import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_infobottleneck.callbacks import BetaSchedule

pytestmark = pytest.mark.quick


@pytest.fixture
def beta():
    return keras.Variable(1.0, trainable=False)


def values(schedule, epochs):
    return [schedule.value(epoch) for epoch in range(epochs)]


def test_linear_goes_straight_from_start_to_stop_and_stays(beta):
    schedule = BetaSchedule(beta, start=1.0, stop=3.0, num_epochs=4)
    assert values(schedule, 6) == pytest.approx([1.0, 1.5, 2.0, 2.5, 3.0, 3.0])


def test_cosine_is_halfway_at_half_time_and_symmetric(beta):
    schedule = BetaSchedule(beta, "cosine", start=1.0, stop=3.0, num_epochs=4)
    first, early, middle, late, *rest = values(schedule, 6)
    assert (first, middle, rest) == (1.0, pytest.approx(2.0), [3.0, 3.0])
    assert early + late == pytest.approx(4.0)
    assert early < 1.5  # slow at the start


def test_cyclic_rises_for_half_a_cycle_and_begins_again(beta):
    schedule = BetaSchedule(beta, "cyclic", start=0.0, stop=1.0, num_epochs=4)
    assert values(schedule, 6) == pytest.approx([0.0, 0.5, 1.0, 1.0, 0.0, 0.5])


def test_a_function_of_the_epoch_is_taken_as_it_is(beta):
    assert values(BetaSchedule(beta, lambda epoch: epoch**2), 4) == [0.0, 1.0, 4.0, 9.0]


def test_without_epochs_the_value_is_at_its_end(beta):
    assert values(BetaSchedule(beta, stop=2.0, num_epochs=0), 2) == [2.0, 2.0]


def test_the_variable_is_set_by_epoch_so_that_resuming_finds_its_value(beta):
    schedule = BetaSchedule(beta, stop=10.0, num_epochs=10)
    for epoch in (0, 1, 7):  # 7: the first epoch of a resumed run
        schedule.on_epoch_begin(epoch)
        assert float(beta) == pytest.approx(epoch)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"schedule": "exponential"}, ValueError, "`schedule` must be one of 'linear'"),
        ({"schedule": 3}, TypeError, "`schedule` must be one of 'linear'"),
        ({"start": -1.0}, ValueError, "`start` must be at least 0"),
        ({"stop": float("nan")}, ValueError, "`stop` must be at least 0"),
        ({"stop": float("inf")}, ValueError, "`stop` must be at least 0"),
        ({"stop": "1"}, TypeError, "`stop` must be a number"),
        ({"num_epochs": -1}, ValueError, "`num_epochs` must be at least 0"),
        ({"num_epochs": 2.5}, TypeError, "`num_epochs` must be an integer"),
    ],
)
def test_bad_arguments_are_refused_in_a_sentence(beta, arguments, error, message):
    with pytest.raises(error, match=f"{message}.* Received: "):
        BetaSchedule(beta, **arguments)


def test_what_cannot_be_set_and_bad_values_are_refused_in_a_sentence(beta):
    with pytest.raises(TypeError, match=r"`beta` must be a variable.* Received: beta=0.5"):
        BetaSchedule(0.5)
    with pytest.raises(ValueError, match=r"`schedule\(2\)` must be at least 0"):
        BetaSchedule(beta, lambda epoch: -epoch).on_epoch_begin(2)
    assert float(beta) == 1.0


@pytest.mark.parametrize("result", ["a", None, True, [0.1, 0.2], 1j, {}])
def test_a_function_must_return_one_number(beta, result):
    schedule = BetaSchedule(beta, lambda epoch: result)
    with pytest.raises(TypeError, match=r"^`schedule\(3\)` must .* Received: schedule\(3\)="):
        schedule.on_epoch_begin(3)
    assert float(beta) == 1.0


@pytest.mark.parametrize("result", [1, np.float32(1), np.array(1), np.array([1.0]), tf.constant(1)])
def test_a_number_of_any_kind_is_a_price(beta, result):
    assert BetaSchedule(beta, lambda epoch: result).value(0) == 1.0


def test_a_variable_of_several_numbers_is_no_price():
    with pytest.raises(ValueError, match=r"^`beta` must be a variable of one number.*Received"):
        BetaSchedule(keras.Variable([1.0, 2.0]))
