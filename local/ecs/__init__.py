"""Does on one machine what ECS does on Fargate: runs the tasks that an emulator knows.

The emulator keeps what somebody asked for: clusters, services, task definitions,
roles, secrets. The agent keeps what is: tasks, their containers as process groups,
deployments, health. ``Agent`` holds it together; ``Settings`` is what it needs to know
of the machine.

What it does not do: run images (a container is its command in a given environment),
limit CPU or memory, or set up networks. Instead of an interface, each task has its own
loopback address.
"""

from local.ecs.agent import Agent
from local.ecs.image import Image
from local.ecs.settings import Settings

__all__ = ["Agent", "Image", "Settings"]
