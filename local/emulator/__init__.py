"""Local CloudFormation emulator: MiniStack with patches, as one process."""
