"""What a run looked like: folds over the events of the pipeline."""
