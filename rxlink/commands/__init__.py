"""The commands ``rxlink query``, ``rxlink subscribe`` and ``rxlink schema``: options, chain, output, exit codes."""
