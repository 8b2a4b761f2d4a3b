"""Checks that need the processes, files and datastores of a local environment."""
