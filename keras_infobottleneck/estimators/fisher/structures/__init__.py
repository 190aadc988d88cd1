"""The forms that a Fisher information matrix can be kept in, one file a structure."""
