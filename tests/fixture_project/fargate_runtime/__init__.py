"""Stands for the Python that runs inside the tasks."""
