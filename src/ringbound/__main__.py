"""`python -m ringbound`: the command line."""

from ringbound.cli.main import main

main()
