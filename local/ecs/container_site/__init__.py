"""Modules at the front of the path of every Python process in a container."""
