"""`python -m flowproxy` is the command `flowproxy`."""

from flowproxy.cli import main

main()
