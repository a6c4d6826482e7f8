"""Walk through a world that a model remembers, in the browser."""

from millivid.play.beginning import Beginning, Truth, in_a_video, in_a_world
from millivid.play.server import PROTOCOL, Served, Server
from millivid.play.walk import Shown, Walk

__all__ = ["PROTOCOL", "Beginning", "Served", "Server", "Shown", "Truth", "Walk", "in_a_video", "in_a_world"]
