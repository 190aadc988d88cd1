"""The only reader of data: turns arrays, `tf.data` and `PyDataset` into batches and samples."""
