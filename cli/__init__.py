"""Command line: commands, console output, errors and exit codes."""
