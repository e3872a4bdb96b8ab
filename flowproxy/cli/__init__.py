"""The `flowproxy` command, one module per subcommand.

It reads the environment, turns errors into one line and an exit status, and holds no rules.
"""
