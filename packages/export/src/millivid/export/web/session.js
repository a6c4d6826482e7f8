// A walk that goes on as its actions come, and goes back to any moment that is kept: the twin of millivid.app's live.py.

import { normal } from "./noise.js";
import { Chunk, LivePlan } from "./planner.js";

const SNAPSHOT_EVERY = 16;
const Cell = { FORGOTTEN: 0, REMEMBERED: 1, CONTEXT: 2, TARGET: 3, PLANNED: 4, EMPTY: 5 };

export class LiveSession {
  /** model: plan, and the promises write(step, context, actions, noise) and decode(latents, level). start: latents of the frames
   *  that are given, one after the other, their actions and the last one's pose. keep: how many frames one can go back. */
  constructor(model, start, seed, keep = 2048) {
    [this.model, this.plan, this.seed, this.keep] = [model, model.plan, seed, keep];
    this.each = model.plan.channels * model.plan.grids.reduce((sum, [height, width]) => sum + height * width, 0);
    this.chunk = new Chunk(this.plan.steps, this.plan.chunk);
    const count = start.actions.length, given = Math.min(count, this.chunk.first);
    this.store = new Float32Array(this.chunk.frames * this.each);
    this.store.set(start.latents.subarray((count - given) * this.each), (this.chunk.first - given) * this.each);
    this.before = [...new Array(this.chunk.first - given).fill(0), ...start.actions.slice(count - given)];
    this.actions = null; // of the chunk that is under way
    this.live = new LivePlan(this.chunk, count);
    this.shown = count;
    this.frames = []; // that were shown after the context: picture, action and pose
    this.pose = start.pose;
    this.dropped = { pose: start.pose, picture: null }; // the newest that is not kept
    this.ready = [];
    this.presses = [];
    this.states = [];
    this.newest = null;
    const ends = this.chunk.cuts;
    this.lead = 2 * (ends.at(-1).frames - (ends.at(-2)?.frames ?? 0));
    this.remember();
  }

  get held() { return this.presses.at(-1)?.action ?? null; }
  get answersFrom() { return this.presses.at(-1)?.first ?? this.shown; }
  get answered() { return !this.presses.length || this.shown > this.presses.at(-1).first; }
  get answerWritten() { return this.live.finished > this.answersFrom; }
  get earliest() { return Math.max(this.shown - this.frames.length, this.states[0].first); }
  get newestShown() { return this.frames.at(-1) ?? this.dropped; }
  get atHand() { return this.ready.length > 0 && this.ready[0].picture !== null; }
  get nextStays() { return this.ready.length > 0 && this.ready[0].number < this.live.change(this.shown).first; }

  /** Hold another action from the next frame on. every: let the one before last for a multiple of so many frames. */
  async press(action, every) {
    if (this.held === action) return;
    let seen = this.shown;
    if (this.presses.length) {
      seen = this.answersFrom + every * Math.max(1, Math.ceil((this.shown - this.answersFrom) / every));
      await this.writeUntil(seen);
    }
    this.change(this.shown, Math.max(this.shown, seen), action);
  }

  change(shown, seen, action) {
    this.move(this.live.change(seen));
    this.actions = null;
    const { first } = this.live;
    this.presses.push({ shown, first, action });
    this.ready = this.ready.filter(({ number }) => number < first);
    this.states = this.states.filter((state) => state.first <= first);
    this.newest = null;
  }

  /** Run one step of the rollout ahead of what is shown; false where none is to be run. */
  async work() {
    const { live } = this, next = live.ran();
    const boundary = next.first > live.first ? next.first : live.done === 0 ? live.first : 0;
    if (this.held === null || this.shown + this.lead < boundary) return false;
    await this.step();
    return true;
  }

  /** Run the next step, as if the held action stayed. */
  async step() {
    const { live } = this, next = live.ran();
    if (live.done === 0) this.remember();
    if (this.actions === null) {
      this.actions = [...this.before, ...new Array(this.chunk.frames - this.chunk.first).fill(this.held)];
    }
    const { context, targets } = this.plan.steps[live.done], { channels } = this.plan, action = this.held;
    const noise = normal(this.seed, live.first * this.chunk.steps.length + live.done, targets.tokens.frame.length * channels);
    const read = new Float32Array(context.tokens.frame.length * channels);
    context.tokens.frame.forEach((frame, n) => read.set(this.token(frame, context.tokens.token[n]), n * channels));
    this.newest = { first: live.first, step: this.chunk.steps[live.done] };
    const written = await this.model.write(live.done, read, this.actions, noise);
    targets.tokens.frame.forEach((frame, n) => {
      this.token(frame, targets.tokens.token[n]).set(written.subarray(n * channels, (n + 1) * channels));
    });
    const offset = this.chunk.first - live.first;
    for (let number = live.finished; number < next.finished; number += 1) {
      this.ready.push({ number, latents: this.latents(number + offset).slice(), action, picture: null });
    }
    this.move(next);
  }

  token(frame, token) {
    const at = frame * this.each + token * this.plan.channels;
    return this.store.subarray(at, at + this.plan.channels);
  }

  latents(place) { return this.store.subarray(place * this.each, (place + 1) * this.each); }

  move(live) {
    const frames = live.first - this.live.first;
    if (frames > 0) {
      this.store.copyWithin(0, frames * this.each);
      this.store.fill(0, this.store.length - frames * this.each);
      this.before = (this.actions ?? this.before).slice(frames, frames + this.chunk.first);
      this.actions = null;
    }
    this.live = live;
  }

  /** Decode one of the next `ahead` frames; false where no such frame is written. */
  async decode(ahead = 1) {
    const next = this.ready.slice(0, ahead).find(({ picture }) => picture === null);
    if (next) next.picture = await this.model.decode(next.latents, 0);
    return Boolean(next);
  }

  /** The next frame's picture, which is at hand. */
  next() {
    const { number, picture, action } = this.ready.shift();
    this.pose = walked(this.pose, this.plan.actions.odometry?.[action]);
    this.frames.push({ picture, action, pose: this.pose });
    if (this.frames.length > this.keep) this.dropped = this.frames.shift();
    this.shown = number + 1;
    while (this.states.length > 1 && this.states[1].first <= this.shown - this.frames.length) this.states.shift();
    while (this.presses.length > 1 && this.presses[1].first <= this.states[0].first) this.presses.shift();
    return picture;
  }

  /** Go back to where a frame is the next to be shown; what came after is forgotten. */
  async rewind(frame) {
    const presses = this.presses.filter(({ shown }) => shown < frame);
    this.states = this.states.filter(({ first }) => first <= frame);
    const { first, store, before } = this.states.at(-1);
    this.store.fill(0).set(store);
    [this.before, this.actions] = [before, null];
    this.live = new LivePlan(this.chunk, first);
    this.ready = [];
    this.frames.length -= this.shown - frame;
    [this.shown, this.newest] = [frame, null];
    this.pose = this.newestShown.pose;
    this.presses = presses.filter((press) => press.first <= first);
    for (const press of presses.slice(this.presses.length)) {
      await this.writeUntil(press.first);
      this.change(press.shown, press.first, press.action);
    }
    await this.writeUntil(frame);
    this.ready = this.ready.filter(({ number }) => number >= frame);
  }

  async writeUntil(frame) {
    while (this.live.finished < frame) await this.step();
  }

  remember() {
    const { first } = this.live;
    if (this.states.length && first < this.states.at(-1).first + SNAPSHOT_EVERY) return;
    this.states.push({ first, store: this.store.slice(0, this.chunk.first * this.each), before: this.before });
  }

  /** What the model still knows of which frame, and what it is writing: rows of cells, finest level first, and their first frame. */
  memory() {
    const { first: start, frames, steps, levels } = this.chunk, first = this.live.first - start;
    const cells = Array.from({ length: levels }, () => Array.from({ length: frames }, (_, n) => (n < start ? Cell.FORGOTTEN : Cell.EMPTY)));
    for (const { reads } of steps) for (const [level, frame] of reads) if (frame < start) cells[level][frame] = Cell.REMEMBERED;
    for (const { writes } of steps.slice(0, this.live.done)) {
      for (const [level, frame] of writes) cells[level][frame] = frame < this.shown - first ? Cell.REMEMBERED : Cell.PLANNED;
    }
    if (this.newest?.first === this.live.first) {
      for (const [level, frame] of this.newest.step.reads) cells[level][frame] = Cell.CONTEXT;
      for (const [level, frame] of this.newest.step.writes) cells[level][frame] = Cell.TARGET;
    }
    return { first, cells: cells.map((row) => row.join("")) };
  }

  /** What a level alone knows of a frame, as a picture; null where nothing is in reach of the model. */
  async thumbnail(level, frame) {
    const place = frame - this.live.first + this.chunk.first, { grids, channels } = this.plan;
    if (place < 0 || place >= this.chunk.frames) return null;
    const sizes = grids.map(([height, width]) => height * width), first = sizes.slice(0, level).reduce((sum, size) => sum + size, 0);
    const known = this.latents(place).slice();
    if (!known.subarray(first * channels, (first + sizes[level]) * channels).some(Boolean)) return null;
    return this.model.decode(known, level);
  }
}

/** The pose (x, y, z, yaw, pitch) after an action of known distance and turn in degrees: first the turn, then the way. */
function walked([x, y, z, yaw, pitch], [distance, turn] = [0, 0]) {
  const turned = (((yaw - turn) % 360) + 360) % 360, angle = (turned * Math.PI) / 180;
  return [x - distance * Math.sin(angle), y, z + distance * Math.cos(angle), turned, pitch];
}
