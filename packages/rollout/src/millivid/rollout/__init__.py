"""Rollout schedules: which tokens each generation step reads (context) and which it writes (target)."""

from .baselines import FramePack, FramePackMirrored, FullResolution
from .budget import Cost, cost, suggest
from .checks import ScheduleError, check_tokens_per_level
from .chunk import Chunk
from .live import Cut, LiveCost, LivePlan, cuts, live_cost
from .millivid import MilliVid
from .pictures import draw_plan_gif, draw_plan_png
from .plan import Plan, PlannedStep, plan
from .schedule import Schedule
from .schedule_registry import make_schedule, schedule_names
from .steps import Role, Step, StepTokens, make_step
from .text import describe_step, draw_text
from .upscaling import RolloutUpscale, Upscale

__all__ = [
    "Chunk", "Cost", "Cut", "FramePack", "FramePackMirrored", "FullResolution", "LiveCost", "LivePlan", "MilliVid", "Plan",
    "PlannedStep", "Role", "RolloutUpscale", "Schedule", "ScheduleError", "Step", "StepTokens", "Upscale",
    "check_tokens_per_level", "cost", "cuts", "describe_step", "draw_plan_gif", "draw_plan_png", "draw_text", "live_cost",
    "make_schedule", "make_step", "plan", "schedule_names", "suggest",
]  # fmt: skip
