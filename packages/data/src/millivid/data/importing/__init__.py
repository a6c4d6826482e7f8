"""From elsewhere into datasets of ours: anyone's videos, and the paper's release."""
