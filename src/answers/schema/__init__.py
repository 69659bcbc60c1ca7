"""What a caller may ask for as a JSON Schema, and how it goes to the engine."""
