"""The worker's side of reading video: probing, streaming, assembling chunks of frames. Never opens a file itself."""
