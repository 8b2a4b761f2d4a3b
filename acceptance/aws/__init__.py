"""Checks of a launched environment by the APIs of AWS, and the environment itself."""
