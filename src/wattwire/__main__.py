"""`python -m wattwire` is the command `wattwire`."""

from wattwire.cli import main

if __name__ == "__main__":
    main()
