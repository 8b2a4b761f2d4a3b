"""Checks that need HTTP and the APIs of AWS alone: they suit any environment.

An import contract holds that nothing here knows of the local environment.
"""
