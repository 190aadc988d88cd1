"""What Information Dropout refuses, each in one sentence."""

import keras
import pytest

from keras_infobottleneck.layers import InformationDropout, VariationalWeights

layers = keras.layers

RELU = {"layer": lambda: layers.Dense(3, "relu")}
BAD = [
    ({"beta": -1.0}, ValueError, "`beta` must be at least 0 and finite"),
    ({"beta": float("nan")}, ValueError, "`beta` must be at least 0 and finite"),
    ({"beta": float("inf")}, ValueError, "`beta` must be at least 0 and finite"),
    ({"beta": "0.1"}, TypeError, "`beta` must be a number"),
    ({"beta": True}, TypeError, "`beta` must be a number"),
    ({"beta": None}, TypeError, "`beta` must be a number"),
    ({"prior": "normal"}, ValueError, "`prior` must be"),
    ({"max_alpha": 0.0}, ValueError, "`max_alpha` must be above 0"),
    ({"max_alpha": -0.7}, ValueError, "`max_alpha` must be above 0"),
    ({"max_alpha": float("nan")}, ValueError, "`max_alpha` must be above 0"),
    ({"max_alpha": "0.7"}, TypeError, "`max_alpha` must be a number"),
    ({"layer": lambda: "dense"}, TypeError, "`layer` must be a Keras layer"),
    ({"layer": lambda: layers.Dense(3)}, ValueError, "one of relu, relu6,"),
    ({"layer": lambda: layers.Dense(3, "tanh")}, ValueError, "one of relu, relu6,"),
    ({"layer": lambda: layers.Dense(3, "softplus")}, ValueError, "one of relu, relu6,"),
    ({"prior": "log_normal"}, ValueError, "one of softplus, exponential, sigmoid,"),
    ({"layer": lambda: layers.ReLU(negative_slope=0.1)}, ValueError, "non-negative activation"),
    (
        {"layer": lambda: VariationalWeights(layers.Dense(3, "tanh"))},
        ValueError,
        "non-negative activation",
    ),
    (
        {"layer": lambda: keras.Sequential([layers.Dense(3), layers.ReLU()])},
        ValueError,
        "`alpha_layer` must be given",
    ),
    ({"layer": lambda: layers.Activation("relu")}, ValueError, "`alpha_layer` must be given"),
    ({"alpha_layer": "dense"}, TypeError, "`alpha_layer` must be a Keras layer or None"),
    ({"activation_is_nonnegative": "yes"}, TypeError, "must be True or False"),
]


class TestBadInputs:
    @pytest.mark.parametrize(("change", "error", "sentence"), BAD)
    def test_each_is_one_sentence(self, change, error, sentence):
        arguments = {**RELU, "beta": 0.1, **change}
        wrapped = arguments.pop("layer")()
        with pytest.raises(error) as caught:
            InformationDropout(wrapped, **arguments)
        message = str(caught.value)
        assert sentence in message
        assert message.count("Received: ") == 1
        assert "\n" not in message

    def test_alpha_layer_of_another_shape(self):
        layer = InformationDropout(layers.Dense(3, "relu"), 0.1, alpha_layer=layers.Dense(4))
        with pytest.raises(ValueError, match=r"outputs of the same shape.*Received: alpha_layer="):
            layer.build((None, 5))

    def test_the_layer_itself_as_alpha_layer(self):
        wrapped = layers.Dense(3, "relu")
        with pytest.raises(ValueError, match=r"a layer of its own\. Received: alpha_layer="):
            InformationDropout(wrapped, 0.1, alpha_layer=wrapped)
