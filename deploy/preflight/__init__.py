"""What an account and region are asked before a launch spends money.

Each question is one row of ``table.py``. Nothing here changes anything, except
``linked_roles.create``, which ``launch`` calls after the plan is confirmed.
"""
