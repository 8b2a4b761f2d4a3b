"""A day of tasks against a policy that scales workers, without paying for it.

``workloads``    what a day brings: seeded kinds of days
``history``      the same from an exported task history
``fleet``        the workers of a pool, and what an image takes to start
``ecs``          what the service scheduler launches, stops and refuses
``model``        the world in which they meet: events, tasks, protection
``actor``        alarms and step policies as the compiled template has them
``ours``         the shipped decision and what carries it out
``rivals``       what others do
``clairvoyant``  what knowing everything would cost, and what nothing can undercut
``blind``        what no policy can start in time that does not know of it
``variants``     the same days in other worlds
``scores``       delay, cost, kills and elasticity of a simulated day
``trace``        what ours would do on one trace, for the rehearsal to compare with
``comparison``   days under policies, ``tables`` prints them
``charts``       demand, workers and delays as SVG
"""
