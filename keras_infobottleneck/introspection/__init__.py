"""The only room that uses the internals of Keras: cloning, recording, compiled passes, weights."""
