"""Simulated days of tasks under scaling policies.

``workloads``        seeded kinds of days
``history``          a day from an exported task history
``pool``             a pool of workers, and the start-up times of images
``ecs``              the ECS service scheduler: launch, stop, deploy, refuse protection
``model``            discrete-event simulation of tasks, workers and protection
``step_scaling``     alarms and step policies of the compiled template
``policy``           the shipped policy: ``decide`` and the step policies
``baselines``        other policies, for comparison
``offline_optimum``  cost with perfect knowledge, and a lower bound
``unpredictable``    tasks no policy can start in time because nothing announces them
``scenarios``        the same days under other conditions
``scores``           delay, cost, kills and elasticity of a simulated day
``trace``            prediction for one trace, for the acceptance checks to compare
``comparison``       days under several policies; ``tables`` prints them
``charts``           demand, workers and delays as SVG
"""
