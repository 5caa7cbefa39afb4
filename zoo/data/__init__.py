"""Collections: files, registered sets, batches."""
