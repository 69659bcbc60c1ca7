"""What callers send, and what they get back."""
