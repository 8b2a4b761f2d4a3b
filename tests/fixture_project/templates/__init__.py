"""Three small templates: tests of the command line do not need the real ones."""
