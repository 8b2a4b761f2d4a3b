"""Runs inside the emulator's own environment: what MiniStack lacks of CloudFormation.

MiniStack keeps the state of some eighty services and answers for them. This package
adds what the templates need beyond that, and refuses what AWS refuses. It is started
as ``python -m local.emulator.patches`` by :mod:`local.emulator.process`; nothing else of the project is
imported here, and MiniStack is reached in :mod:`local.emulator.patches.ministack` alone.
"""
