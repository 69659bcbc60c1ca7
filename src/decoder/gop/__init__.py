"""Groups of pictures: splitting, selecting what is needed, decoding in parallel."""
