"""Image data sets: folders, zip and tar files, Hugging Face, prepared arrays, WebDataset."""
