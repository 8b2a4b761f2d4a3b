"""The rehearsal: what was built, launched and run for real on this machine, and proven.

``stage`` brings an environment up and takes it down again. Launching goes through
``delivery``, as on AWS; only the endpoint differs. No other part of ``local`` knows
how anything is delivered.
"""
