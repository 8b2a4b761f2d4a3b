"""The scaling brain: how many workers each pool needs, decided every ten seconds.

``state``      what is known at one moment, and what was decided
``settings``   what an operator chose for each pool, refused where it makes no sense
``crew``       which workers can still do what, and how a deployment replaces them
``decide``     the decision: a pure function of the two
``foresight`` which tasks the running and the announced DAG runs queue next
``fitting``    how few workers start every task in time
``learning``   expected durations and start-up times from what was observed

Standard library only, and nothing here reads a clock, a database or a network:
the simulation runs the very same code.
"""
