"""What is served is the same every time, in every format that is installed."""

import importlib.util

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_infobottleneck as kib

IMAGES = np.random.default_rng(0).random([6, 8, 8, 3]).astype("float32")
TWO = np.random.default_rng(1).normal(size=(6, 5)).astype("float32")


def noisy(layer):
    return kib.layers.VariationalWeights(layer, initial_scale=0.3)


def image_model():
    """With convolutions, noise on weights and activations, and layers that augment."""
    keras.utils.set_random_seed(0)
    layers = [
        keras.Sequential([keras.layers.RandomFlip(), keras.layers.RandomTranslation(0.3, 0.3)]),
        noisy(keras.layers.Conv2D(4, 3, activation="relu")),
        keras.layers.GlobalAveragePooling2D(),
        kib.layers.InformationDropout(keras.layers.Dense(5, "relu"), 0.1),
        noisy(keras.layers.Dense(3)),
    ]
    network = keras.Sequential([keras.Input([8, 8, 3]), *layers])
    return kib.InformationBottleneckModel(network, num_examples=6)


def graph_model():
    """A graph without augmentation."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input([5])
    hidden = noisy(keras.layers.Dense(4, "relu"))(inputs)
    outputs = noisy(keras.layers.Dense(3))(hidden)
    return kib.InformationBottleneckModel(inputs, outputs, num_examples=6)


def bottleneck_model():
    """A code of the inputs with a learned prior."""
    keras.utils.set_random_seed(0)
    code = kib.layers.GaussianBottleneck(4, beta=0.1, prior="learned")
    network = keras.Sequential([keras.Input([5]), code, keras.layers.Dense(3)])
    return kib.InformationBottleneckModel(network, num_examples=6)


MODELS = {
    "images": (image_model, IMAGES),
    "graph": (graph_model, TWO),
    "bottleneck": (bottleneck_model, TWO),
}


def of_saved_model(path, x):
    loaded = tf.saved_model.load(str(path))
    return loaded.serve(x).numpy()


def of_onnx(path, x):
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(str(path))
    return session.run(None, {session.get_inputs()[0].name: x})[0]


def of_litert(path, x):
    interpreter = tf.lite.Interpreter(model_path=str(path))
    (given,), (taken,) = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.resize_tensor_input(given["index"], x.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(given["index"], x)
    interpreter.invoke()
    return interpreter.get_tensor(taken["index"])


def of_openvino(path, x):
    openvino = pytest.importorskip("openvino")
    # By default it computes in bfloat16 on processors that do.
    options = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.compile_model(openvino.Core().read_model(str(path)), "CPU", options)
    return compiled([x])[compiled.output(0)]


FORMATS = {
    "tf_saved_model": ("", of_saved_model, None),
    "onnx": (".onnx", of_onnx, "tf2onnx"),
    "litert": (".tflite", of_litert, None),
    "openvino": (".xml", of_openvino, "openvino"),
}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", FORMATS)
def test_an_exported_model_serves_its_predictions(name, model, tmp_path):
    suffix, served, package = FORMATS[name]
    if package and importlib.util.find_spec(package) is None:
        pytest.skip(f"needs {package}")
    build, x = MODELS[model]
    built = build()
    path = tmp_path / f"model{suffix}"
    built.export(str(path), format=name, verbose=False)
    for _ in range(2):
        np.testing.assert_allclose(served(path, x), built.predict(x, verbose=0), atol=1e-5)


def test_without_noise_a_network_that_augments_serves_the_same_every_time(tmp_path):
    model = image_model()
    plain = kib.make_deterministic(model)
    expected = model.predict(IMAGES, verbose=0)
    plain.export(tmp_path / "plain", verbose=False)
    plain.save(tmp_path / "plain.keras")
    loaded = keras.saving.load_model(tmp_path / "plain.keras")
    for _ in range(2):
        for outputs in (
            plain(IMAGES),
            plain.predict(IMAGES, verbose=0),
            loaded(IMAGES),
            of_saved_model(tmp_path / "plain", IMAGES),
        ):
            np.testing.assert_allclose(outputs, expected, atol=1e-5)
    assert np.abs(plain(IMAGES, training=True) - expected).max() > 1e-3  # `fit` augments
    assert len(kib.make_deterministic(graph_model()).layers) == 3  # no model around others


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_samples_are_served_by_seed_and_number_of_draws(model, tmp_path):
    build, x = MODELS[model]
    built = build()
    built.export(tmp_path / "model", verbose=False, samples=True)
    loaded = tf.saved_model.load(str(tmp_path / "model"))
    np.testing.assert_allclose(loaded.serve(x), built.predict(x, verbose=0), atol=1e-5)
    for num_samples, seed in ((3, 7), (5, 7), (3, 8)):
        expected = built.predict_samples(x, num_samples, seed=seed)
        found = loaded.serve_samples(x, num_samples, seed)
        np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.abs(found[0] - found[1]).max() > 1e-3


def test_samples_are_refused_where_they_cannot_be_served(tmp_path):
    model = graph_model()
    path = str(tmp_path / "model")
    with pytest.raises(ValueError, match=r"tf_saved_model.*Received: .*'onnx'"):
        model.export(path, format="onnx", samples=True)
    with pytest.raises(TypeError, match=r"`samples`.*Received: "):
        model.export(path, samples="all")
    plain = keras.Sequential([keras.Input([5]), keras.layers.Dense(3)])
    with pytest.raises(ValueError, match=r"layers that draw.*Received: "):
        kib.InformationBottleneckModel(plain, num_examples=6).export(path, samples=True)


def of_pruned(build):
    """Noise on half of the weights, and what remains of the network without them."""
    model = build()
    for layer in model.variational_layers:
        loc, spread, *rest = layer.get_weights()
        spread[..., ::2] = 3.0
        layer.set_weights([loc, spread, *rest])
    return kib.make_deterministic(model, prune_below=0.05, remove_units=True)


@pytest.mark.slow
@pytest.mark.parametrize("made", ["deterministic", "pruned"])
@pytest.mark.parametrize("name", FORMATS)
def test_what_is_left_without_noise_serves_its_predictions(made, name, tmp_path):
    suffix, served, package = FORMATS[name]
    if package and importlib.util.find_spec(package) is None:
        pytest.skip(f"needs {package}")
    plain = kib.make_deterministic(graph_model()) if made != "pruned" else of_pruned(graph_model)
    path = tmp_path / f"model{suffix}"
    expected = plain.predict(TWO, verbose=0)  # Keras writes ONNX of models that were called
    plain.export(str(path), format=name, verbose=False)
    np.testing.assert_allclose(served(path, TWO), expected, atol=1e-5)


@pytest.mark.slow
def test_a_network_without_noise_is_quantised_and_served(tmp_path):
    plain = kib.make_deterministic(graph_model())
    expected = plain.predict(TWO, verbose=0)
    plain.quantize("int8")
    plain.export(tmp_path / "model", verbose=False)
    found = of_saved_model(tmp_path / "model", TWO)
    np.testing.assert_allclose(found, plain.predict(TWO, verbose=0), atol=1e-5)
    assert np.abs(found - expected).max() < 0.05 * np.abs(expected).max()


@pytest.mark.slow
@pytest.mark.parametrize("kind", [keras.layers.LSTM, keras.layers.GRU, keras.layers.SimpleRNN])
def test_a_recurrent_layer_is_served_by_litert_where_it_is_unrolled(kind, tmp_path):
    x = np.random.default_rng(0).normal(size=(3, 6, 4)).astype("float32")
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6, 4))
    network = keras.Model(inputs, keras.layers.Dense(3)(kind(5, unroll=True)(inputs)))
    converted = kib.make_variational(network, num_examples=3, verbose=0)
    path = tmp_path / "model.tflite"
    kib.make_deterministic(converted).export(str(path), format="litert", verbose=False)
    np.testing.assert_allclose(of_litert(path, x), network.predict(x, verbose=0), atol=1e-5)
