"""``python -m talweg`` is the same program as ``talweg``."""

if __name__ == "__main__":
    from talweg.cli import main

    main()
