"""The autoscaler: how many workers each pool needs, decided every ten seconds.

The decision reads no clock, no database and no network, and needs the standard library
alone: the simulation runs the very same code.

``state``      what is known at one moment, and what was decided
``settings``   what an operator chose for each pool, refused where it makes no sense
``decide``     the decision: a pure function of the two
``foresight``  which tasks the running and the announced DAG runs queue next
``fitting``    how few workers start every task in time
``learning``   expected durations and start-up times from what was observed

The loop around it reads the world and acts on it (``python -m fargate_runtime.autoscaler``):

``loop``            when a round begins; ``leader``: which of several autoscalers leads
``rounds``          one round: read, decide, publish, tell the workers
``queries``         what Airflow's tables are asked; ``database``: how, without hanging
``knowledge``       what is known of each DAG; ``demand``: what that means for queues
``remote_control``  the workers; ``services``: ECS; ``fleets``: the two put together
``metrics``         what is published; ``log``: what the operator is told
"""
