"""Acceptance checks of a running environment, on this machine or on AWS.

``checks`` need HTTP and the APIs of AWS alone; ``local_checks``, ``faults`` and
``scaling`` need a local environment. ``suites`` has all of them in their order.
"""
