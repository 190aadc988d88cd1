# %% [markdown]
# # Ten minutes
#
# This page shows the package in six steps: it trains a network with a price on the information in its weights, measures
# that information, makes the network smaller and saves it. The data are the digits of scikit-learn, 1,797 images of 8 x 8
# pixels. The page is also a [notebook](ten_minutes.ipynb) and a [script](ten_minutes.py). `pip install '.[examples]'`
# installs what it needs besides the package.
#
# ## 1. Some labels are wrong


# %%
import keras
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

import keras_infobottleneck as kib

keras.utils.set_random_seed(0)
x, y = load_digits(return_X_y=True)
x = (x / 16).astype("float32")
random = np.random.default_rng(0)
replaced = random.random(1000) < 0.3
given = np.where(replaced, (y[:1000] + random.integers(1, 10, 1000)) % 10, y[:1000])
print(f"{replaced.sum()} of 1000 training labels are wrong")


# %% [markdown]
# ## 2. A plain network learns them by heart


# %%
def network():
    return keras.Sequential(
        [
            keras.Input((64,)),
            keras.layers.Dense(128, activation="relu", name="hidden"),
            keras.layers.Dense(10, name="logits"),
        ]
    )


loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
fitting = {"batch_size": 50, "epochs": 60, "validation_data": (x[1000:], y[1000:]), "verbose": 0}
accuracy = {}  # on the test set, after each epoch


def say(name, model):
    test = np.mean(model.predict(x[1000:], verbose=0).argmax(1) == y[1000:])
    learned = np.mean((model.predict(x[:1000], verbose=0).argmax(1) == given)[replaced])
    print(f"{name}: test accuracy {test:.2f}, wrong labels learned {learned:.2f}")


plain = network()
plain.compile(keras.optimizers.Adam(0.003), loss, metrics=["accuracy"])
accuracy["plain"] = plain.fit(x[:1000], given, **fitting).history["val_accuracy"]
say("plain", plain)


# %% [markdown]
# ## 3. The same network with a price on information
#
# `make_variational` puts noise on the weights. `weight_beta` is the price of one nat of information in them.
# With a price that rises slowly, the network learns first and forgets afterwards:


# %%
paying = kib.make_variational(network(), num_examples=1000, weight_beta=0.1, verbose=0)
warm_up = kib.callbacks.BetaSchedule(paying.weight_beta, stop=0.1, num_epochs=30)
paying.compile(keras.optimizers.Adam(0.003), loss, metrics=["accuracy"])
training = paying.fit(x[:1000], given, callbacks=[warm_up], **fitting)
accuracy["paying"] = training.history["val_accuracy"]
say("paying", paying)


# %% [markdown]
# Both networks learn the digits first. Then the plain network also learns the wrong labels, and the network that
# pays for information does not:


# %%
figure, axes = plt.subplots(figsize=(6, 3))
for name, after_epochs in accuracy.items():
    axes.plot(after_epochs, label=name)
axes.set(xlabel="epoch", ylabel="test accuracy", ylim=(0.7, 1.0))
axes.legend()
figure.savefig("ten_minutes.png", dpi=90, bbox_inches="tight")


# %% [markdown]
# ![Test accuracy over the epochs: the plain network falls, the paying one stays.](../figures/guides/ten_minutes.png)
#
# ## 4. How much information is in the weights?


# %%
total = float(paying.weight_information())
print(
    f"{total:.0f} nats in the weights, {total / 1000:.2f} per label; a label holds {np.log(10):.2f}"
)
for layer, nats in paying.weight_information(by_layer=True).items():
    print(f"  {layer}: {float(nats):.0f} nats")


# %% [markdown]
# With much less than 2.30 nats per label, the weights could not hold every label by heart. With more, as here, they
# have room for that, but at this price the network did not use the room for the wrong labels. The information in a
# plain network can be estimated after training, as the length of a Gaussian code for its weights:


# %%
fisher = kib.estimators.fisher_information(plain, x[:1000], labels="expected")
held = kib.estimators.information_in_weights(plain, fisher, beta=1 / 1000)
print(f"plain network: {held.nats_per_example:.1f} nats per label by its Gaussian code")


# %% [markdown]
# `kib.audit(model, data)` measures everything at once and shows what each number is to be compared
# with.
#
# ## 5. Which predictions not to trust


# %%
logits = paying.predict_samples(x[1000:], num_samples=30, seed=0)
doubt = kib.decompose_uncertainty(keras.ops.convert_to_numpy(keras.ops.softmax(logits)))
wrong = paying.predict(x[1000:], verbose=0).argmax(1) != y[1000:]
print(f"total uncertainty where it is right {doubt.total[~wrong].mean():.1f} nats")
print(f"total uncertainty where it is wrong {doubt.total[wrong].mean():.1f} nats")


# %% [markdown]
# ## 6. Prune and save


# %%
pruned = kib.make_deterministic(paying, prune_below=0.5)
kernels = [weight for weight in pruned.get_weights() if weight.ndim > 1]
kept = sum(np.count_nonzero(kernel) for kernel in kernels) / sum(kernel.size for kernel in kernels)
print(f"{kept:.0%} of the weights kept")
say("pruned", pruned)
pruned.save("digits.keras")  # plain Keras layers: loads without this package


# %% [markdown]
# ## Where to go from here
#
# - To choose the price for your data: [choosing beta](../guides/choosing_beta.md).
# - To find the wrong labels: [wrong labels](../guides/wrong_labels.md).
# - To read a whole report: [audit](../guides/audit.md).
# - What a nat is, and the four prices called beta: [units](../concepts/units.md).
