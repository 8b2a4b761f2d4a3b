"""Stub of the Python that runs in the containers."""
