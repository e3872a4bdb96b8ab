"""The `flowproxy` command, one module per subcommand.

It turns errors into lines on standard error and an exit status. It holds no rules.
"""
