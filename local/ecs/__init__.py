"""The local ECS agent: runs the tasks of an emulator's services as local processes.

The emulator holds the desired state: clusters, services, task definitions, roles,
secrets. The agent holds the actual state: tasks, their containers as process groups,
deployments, health. Start with ``EcsAgent`` and ``AgentSettings``.

It does not run images (a container is its command in a given environment), limit CPU or
memory, or set up networks. Instead of a network interface, each task has its own
loopback address.
"""

from local.ecs.agent import EcsAgent
from local.ecs.image import ContainerImage
from local.ecs.settings import AgentSettings

__all__ = ["AgentSettings", "ContainerImage", "EcsAgent"]
