"""The one reader of data: arrays, `tf.data` and `PyDataset` become batches and samples."""
