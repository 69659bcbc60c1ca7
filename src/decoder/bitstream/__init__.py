"""What the headers of coded pictures say about decoding dependencies. registry.py names the file of each codec."""
