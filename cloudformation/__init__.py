"""What CloudFormation and the services do with a template: data and pure functions.

``deploy`` plans an update with it, and the local emulator behaves by it.
"""
