"""`python -m framework` and the console script `framework`: a process that is this command and nothing else."""

from framework.cli import main
from framework.processes.garbage import seldom_collected


def command() -> None:
    """Carry out the command line and end the process."""
    with seldom_collected():
        main()


if __name__ == "__main__":
    command()
