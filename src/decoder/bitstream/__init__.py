"""What the headers of coded pictures say about references, by codec."""
