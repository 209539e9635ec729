"""What Easel remembers from one start to the next, in plain files of the data folder."""
