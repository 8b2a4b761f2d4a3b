"""Templates in, ``dist/`` out: wiring, compiling, linting, parameters. Offline."""
