"""``python -m unnoise`` is the command line."""

from unnoise.cli.app import main

if __name__ == "__main__":
    main()
