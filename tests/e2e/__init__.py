"""The commands from end to end: real images in real registries, beside the tools that others use there."""
