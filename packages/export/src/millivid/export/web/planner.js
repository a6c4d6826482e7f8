// How far a video is written whose actions are not known in advance: the twin of millivid.rollout's live.py, step for step.

const CONTEXT = "1", TARGET = "2";

/** The cells, [level, frame], that have a role in a step: a string of roles, one for each frame, for each level. */
function cells(roles, role) {
  return roles.flatMap((row, level) => [...row].flatMap((one, frame) => (one === role ? [[level, frame]] : [])));
}

/** A chunk: what its steps read and write, the first frame that is written, and how many are. */
export class Chunk {
  constructor(steps, { first, frames, kept, levels }) {
    Object.assign(this, { first, frames, kept, levels });
    this.steps = steps.map(({ roles }) => ({ reads: cells(roles, CONTEXT), writes: cells(roles, TARGET) }));
    this.cuts = cuts(this);
  }
}

/** Every number of frames that a chunk can end with, and the fewest steps for it. */
function cuts({ steps, first, kept, frames }) {
  const lastWrite = new Array(frames).fill(0);
  steps.forEach(({ writes }, number) => writes.forEach(([, frame]) => { lastWrite[frame] = number + 1; }));
  let most = 0;
  const needed = lastWrite.slice(first, first + kept).map((step) => (most = Math.max(most, step)));
  return needed.map((step, n) => ({ steps: step, frames: n + 1 })).filter(({ steps: step }, n) => step !== needed[n + 1]);
}

/** A value; its changes are new values. */
export class LivePlan {
  constructor(chunk, first, done = 0) {
    [this.chunk, this.first, this.done] = [chunk, first, done];
  }

  /** The first video frame that is not final. */
  get finished() {
    return this.first + this.chunk.cuts.reduce((most, cut) => (cut.steps <= this.done ? cut.frames : most), 0);
  }

  /** After the next step has been run; after a chunk's last one the next chunk begins. */
  ran() {
    const last = this.chunk.cuts.at(-1);
    if (this.done + 1 === last.steps) return new LivePlan(this.chunk, this.first + last.frames);
    return new LivePlan(this.chunk, this.first, this.done + 1);
  }

  /** After the action has changed, with video frames before `shown` seen: a chunk from there on. */
  change(shown) {
    if (shown > this.finished) throw new Error(`${shown} frames cannot have been shown; ${this.finished} are finished`);
    return new LivePlan(this.chunk, Math.max(this.first, shown));
  }
}
