"""What an image is made of: layers, files, packages and configuration, read from bytes that nobody has vouched for."""
