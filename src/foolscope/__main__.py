"""``python -m foolscope`` is the command ``foolscope``."""

from foolscope.cli import main

__all__: list[str] = []

if __name__ == "__main__":
    main()
