"""The autoscaler: compute the workers that each pool needs, every ten seconds.

The decision reads no clock, no database and no network, and needs the standard library
alone: the simulation runs the very same code.

``state``       input and result of the decision
``settings``    the operator's settings of each pool, validated
``decide``      the decision: a pure function of the two
``pool_state``  workers by what they can still do; replacement in deployments
``forecast``    tasks that running and announced DAG runs queue next
``scheduling``  the fewest workers that start every task in time
``estimates``   expected durations and start-up times, from observations

The loop around it (``python -m fargate_runtime.autoscaler``):

``loop``            timing of the rounds; ``leader``: leader election
``reconciler``      one round: observe, decide, publish, command the workers
``queries``         queries of Airflow's tables; ``database``: a session with timeouts
``dag_metadata``    structure and durations of DAGs; ``demand``: the demand of queues
``remote_control``  the workers; ``services``: ECS; ``pool_observer``: both together
``metrics``         the published metrics; ``log``: log lines for the operator
"""
