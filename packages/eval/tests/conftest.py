"""Makes the tests' synthetic videos importable, keeps torch to one thread, and forbids downloads of networks."""

import os
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent))
os.environ.setdefault("MILLIVID_DOWNLOAD", "0")
torch.set_num_threads(1)
