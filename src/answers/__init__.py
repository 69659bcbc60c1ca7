"""What the model is asked, and how its answers about chunks become one answer about the video."""
