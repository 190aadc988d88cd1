"""The one door to the inside of Keras: cloning, recording outputs, compiled passes, weights."""
