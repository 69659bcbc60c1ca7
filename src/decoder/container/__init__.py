"""Opening a container, its packets and their presentation times."""
