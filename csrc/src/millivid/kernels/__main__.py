"""Print what is in use: `python -m millivid.kernels`."""

from millivid.kernels import status

if __name__ == "__main__":
    print(status())
