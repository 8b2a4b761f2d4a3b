"""Patches for MiniStack: what its CloudFormation lacks; runs in the emulator's process.

MiniStack holds the state of some eighty services and answers for them. This package
adds what the templates need beyond that, and refuses what AWS refuses.
``local.emulator.process`` starts it as ``python -m local.emulator.patches``. It imports
nothing else of the project; only the module ``ministack`` imports MiniStack.
"""
