"""What callers send and receive: request, progress, output."""
