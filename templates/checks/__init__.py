"""Checks of parameter values across parameters, before anything is launched."""
