"""Write what compressed files leave out of an architecture: what Keras writes of every layer.

A file stores of a layer only what differs from the template of its class, and takes phrases from a
text that writer and reader know. Both are part of the format: a file of them is never changed,
another format gets another file. Run as ``python tools/write_compression_templates.py PATH``.
"""

import json
import sys

import keras
from keras import layers

LAYERS = (
    *(layers.Activation("relu"), layers.Add(), layers.Average(), layers.AveragePooling2D(2)),
    *(layers.BatchNormalization(), layers.Bidirectional(layers.LSTM(4)), layers.Concatenate()),
    *(layers.Conv1D(4, 3), layers.Conv2D(4, 3), layers.Conv3D(4, 3), layers.Conv2DTranspose(4, 3)),
    *(layers.Cropping2D(), layers.Dense(4), layers.DepthwiseConv2D(3), layers.Dropout(0.5)),
    *(layers.EinsumDense("ab,bc->ac", 4), layers.ELU(), layers.Embedding(4, 4), layers.Flatten()),
    *(layers.GlobalAveragePooling1D(), layers.GlobalAveragePooling2D()),
    *(layers.GlobalMaxPooling2D(), layers.GroupNormalization(2), layers.GRU(4)),
    *(layers.InputLayer((4,)), layers.LayerNormalization(), layers.LeakyReLU(), layers.LSTM(4)),
    *(layers.MaxPooling1D(), layers.MaxPooling2D(), layers.MultiHeadAttention(2, 4)),
    *(layers.Multiply(), layers.Normalization(), layers.Permute((1,)), layers.PReLU()),
    *(layers.ReLU(), layers.Rescaling(0.5), layers.Reshape((4,)), layers.RMSNormalization()),
    *(layers.SeparableConv2D(4, 3), layers.SimpleRNN(4), layers.Softmax()),
    *(layers.SpatialDropout2D(0.5), layers.Subtract(), layers.TimeDistributed(layers.Dense(4))),
    *(layers.UpSampling2D(), layers.ZeroPadding2D()),
)
# What every use gives anew is no part of a template.
OWN = {
    *("name", "units", "filters", "kernel_size", "rate", "batch_shape", "layer", "backward_layer"),
    *("input_dim", "output_dim", "num_heads", "key_dim", "target_shape", "dims", "equation"),
    *("output_shape", "scale", "groups_of", "layers", "shared_object_id", "build_config"),
}


def templates():
    """Class name to module, registered name and configuration."""
    table = {}

    def take(entry):
        config = entry["config"]
        if isinstance(config, dict):
            kept = {key: value for key, value in config.items() if key not in OWN}
            own = {"module": entry["module"], "registered_name": entry["registered_name"]}
            table.setdefault(entry["class_name"], {**own, "config": kept})
            for value in config.values():
                if isinstance(value, dict) and "class_name" in value and "config" in value:
                    take(value)

    for layer in LAYERS:
        take(keras.saving.serialize_keras_object(layer))
    for kind in (
        "HeNormal",
        "HeUniform",
        "GlorotNormal",
        "LecunNormal",
        "Orthogonal",
        "RandomNormal",
    ):
        take(keras.saving.serialize_keras_object(getattr(keras.initializers, kind)()))
    policy = table["Dense"]["config"]["dtype"]
    both = {"trainable": True, "dtype": policy}
    table["Sequential"] = {"module": "keras", "registered_name": None, "config": both}
    table["Functional"] = {
        "module": "keras.src.models.functional",
        "registered_name": "Functional",
        "config": {"trainable": True},
    }
    table["__keras_tensor__"] = {"config": {"dtype": "float32"}}
    table["DTypePolicy"]["config"] = {}
    return table


PHRASES = (
    '"inbound_nodes":[{"args":[[{"=":"__keras_tensor__","shape":[null,7,7,',
    '"keras_history":["batch_normalization_1",0,0]},{"=":"__keras_tensor__","shape":[null,',
    '"keras_history":["dense_1",0,0]}],"kwargs":{}}],"input_layers":["input_layer",0,0],',
    '"output_layers":["dense_2",0,0],"axis":-1,"mean":null,"variance":null',
    '"activation":"tanh","gelu","elu","sigmoid","swish","use_bias":false,"kernel_initializer":',
    '{"=":"HeNormal"},"strides":[1,1],"pool_size":[3,3],"trainable":false,"groups":1,',
    '{"=":"Flatten","name":"flatten"},{"=":"Dropout","rate":0.5,"name":"dropout"},',
    '{"=":"BatchNormalization","name":"batch_normalization_1"},{"=":"Activation","name":',
    '"activation","activation":"softmax"},{"=":"GlobalAveragePooling2D","name":',
    '"global_average_pooling2d"},',
    '{"=":"Functional","name":"functional","layers":[{"=":"InputLayer","batch_shape":[null,32,32,3]',
    '{"=":"Sequential","name":"sequential_1","layers":[{"=":"InputLayer","batch_shape":[null,28,28,',
    '1],"name":"input_layer"},{"=":"Conv2D","name":"variational_weights","filters":32,"kernel_size"',
    ':[5,5],"padding":"same","activation":"relu"},{"=":"MaxPooling2D","name":"max_pooling2d"},{"=":',
    '"Conv2D","name":"variational_weights_1","filters":64,"kernel_size":[3,3],"strides":[2,2],',
    '"padding":"valid","activation":"relu"},{"=":"Flatten","name":"flatten"},',
    '{"=":"Dense","name":"dense","units":128,"activation":"relu"},{"=":"Dense","name":',
    '"variational_weights_2","units":64,"activation":"relu"},{"=":"Dense","name":"dense_1","units":',
    "10}]}",
)

if __name__ == "__main__":
    content = {"templates": templates(), "phrases": "".join(PHRASES)}
    with open(sys.argv[1], "w", encoding="utf-8", newline="\n") as file:
        file.write(json.dumps(content, indent=1, sort_keys=True) + "\n")
