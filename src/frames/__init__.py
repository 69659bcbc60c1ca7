"""The worker's side of reading video: probing, streaming, assembling chunks, cutting. Never opens a file itself."""
