"""What an image was locked to be, and what has changed since."""
