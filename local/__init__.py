"""The emulator, and the agent that runs its ECS tasks as local processes."""
