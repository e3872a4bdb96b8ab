"""`python -m flowproxy` is the command `flowproxy`."""

from flowproxy.cli.main import main

main()
