"""`python -m myoflow`."""

from myoflow.cli import main

main()
