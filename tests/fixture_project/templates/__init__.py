"""Three small pages: tests of the command line need not wait for the real ones."""
