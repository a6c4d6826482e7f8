// Where frames come from: the model itself, in this browser. Offers what the served page's engine does, and calls the same handlers.

import { LiveSession } from "./session.js";

const DECODED_AHEAD = 4, THUMBNAILS = 8, STATE_EVERY = 100;

export const makeEngine = (handlers) => new LocalEngine(handlers);

/** The model in a worker of its own: promises for its answers. */
class Model {
  constructor(tell) {
    this.waiting = new Map();
    this.count = 0;
    this.worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
    this.worker.onmessage = ({ data }) => {
      if (data.id === undefined) return tell(data);
      const { done, fail } = this.waiting.get(data.id);
      this.waiting.delete(data.id);
      if ("failed" in data) fail(new Error(data.failed));
      else done(data.found);
    };
    this.worker.onerror = ({ message }) => {
      for (const { fail } of this.waiting.values()) fail(new Error(message ?? "this browser cannot run the model; use a newer one"));
      this.waiting.clear();
    };
  }

  ask(asks, given) {
    return new Promise((done, fail) => {
      this.waiting.set((this.count += 1), { done, fail });
      this.worker.postMessage({ id: this.count, asks, given });
    });
  }

  write(...given) { return this.ask("write", given); }
  decode(...given) { return this.ask("decode", given); }
}

/** One person's walk; see millivid.play's walk.py and server.py, whose rules these are. */
export class LocalEngine {
  constructor(handlers) {
    this.handlers = handlers;
    this.wish = {};
    this.stamps = [];
    [this.held, this.owed, this.goingBack, this.due] = [null, false, false, 0];
    this.begin().catch((error) => {
      this.failed = error.message;
      handlers.loading?.(null);
      handlers.told(`It cannot be played here: ${error.message}.`);
    });
  }

  async begin() {
    if (!globalThis.WebAssembly || !globalThis.DecompressionStream) throw new Error("this browser has no WebAssembly, or is too old; use a newer one");
    this.model = new Model(({ loading, told }) => {
      if (this.failed) return; // what is still on its way
      this.handlers.loading?.(loading);
      this.handlers.told(told);
    });
    const asked = new URLSearchParams(location.search).get("backend");
    const found = await this.model.ask("load", { site: new URL("./", location.href).href, asked });
    Object.assign(this, found);
    this.model.plan = found.plan;
    this.handlers.loading?.(null);
    this.every = found.starts[0].frames_per_action;
    this.start(found.starts[0].seed);
    this.compute();
    setInterval(() => this.tell(), STATE_EVERY);
    requestAnimationFrame(() => this.show());
  }

  /** Begin in a world by its number, or in another one of the site. */
  start(seed) {
    const world = this.starts.find((one) => one.seed === seed) ?? this.starts[seed % this.starts.length];
    this.session = new LiveSession(this.model, world, world.seed);
    [this.held, this.owed, this.wish, this.stamps, this.thumbnails] = [null, false, {}, [], 0];
    const { names } = this.plan.actions, { session, fps } = this, [height, width] = this.plan.image_size;
    this.handlers.begun({
      seed: world.seed, fps, minds: ["millivid"], offered: ["millivid"], actions: names, truth: false, size: [height, width], context: session.shown,
      levels: session.chunk.levels, keeps: globalThis.MediaRecorder ? ["mp4"] : [], backend: this.backend,
    });
    this.model.decode(session.latents(session.chunk.first - 1).slice(), 0).then((picture) => {
      session.dropped.picture ??= picture;
      return session === this.session && !session.frames.length && this.paint(session.shown - 1, 0, picture);
    }).catch((error) => this.fail(error));
  }

  fail({ message }) {
    this.failed ??= message;
    this.handlers.told(`The walk cannot go on: ${this.failed}. Reload the page.`);
  }

  async paint(number, stamp, picture) {
    const [height, width] = this.plan.image_size;
    this.handlers.image(0, number, stamp, await createImageBitmap(new ImageData(picture.slice(), width, height)));
  }

  press(action) {
    this.held = action;
    if (action === null) return;
    Object.assign(this.wish, { action, stamp: performance.now() });
    this.owed = true;
    this.wake?.();
  }

  rewind(frame) {
    if (this.wish.restart !== undefined) return;
    [this.held, this.owed, this.wish] = [null, false, { rewind: frame }];
    this.wake?.();
  }

  restart(seed) { this.wish = { restart: seed }; this.held = null; this.wake?.(); }
  truth() {}
  save() {}

  /** Do one piece of work after the other, as long as there is one. */
  async compute() {
    while (!this.failed) {
      try {
        if (await this.piece()) continue;
      } catch (error) {
        this.fail(error);
      }
      await new Promise((done) => { this.wake = done; setTimeout(done, 20); });
    }
  }

  async piece() {
    const wish = this.wish;
    this.wish = {};
    if (wish.restart !== undefined) {
      this.start(wish.restart);
      return true;
    }
    const { session } = this;
    if (wish.rewind !== undefined) {
      this.goingBack = true;
      await session.rewind(Math.min(Math.max(wish.rewind, session.earliest), session.shown));
      this.goingBack = false;
      await this.paint(session.shown - 1, 0, session.newestShown.picture);
    }
    if (wish.action !== undefined) {
      if (!session.answered && !session.answerWritten) {
        if (!Object.keys(this.wish).length) this.wish = { action: wish.action, stamp: wish.stamp }; // else there is a newer one
      } else {
        const changed = session.held !== wish.action;
        this.pressing = true;
        await session.press(wish.action, this.every);
        this.pressing = false;
        if (changed) this.stamps.push({ first: session.answersFrom, stamp: wish.stamp });
        if (this.stamps.length > 64) this.stamps.shift();
      }
    }
    return (await session.decode(DECODED_AHEAD)) || (await session.work()) || wish.rewind !== undefined;
  }

  /** Show the next frame if it is due, a key is held and it is at hand; never several at once. */
  show() {
    requestAnimationFrame(() => this.show());
    const { session } = this, now = performance.now(), period = 1000 / this.fps;
    const waiting = this.pressing || this.wish.rewind !== undefined || this.wish.action !== undefined || this.wish.restart !== undefined;
    if (now < this.due || (this.held === null && !this.owed) || this.goingBack || !session.atHand) return;
    if (waiting && !session.nextStays) return; // what comes after would be of an old key
    this.due = Math.max(this.due + period, now + period / 2);
    const picture = session.next(), number = session.shown - 1;
    this.owed = waiting || (session.shown - session.answersFrom) % this.every !== 0 || !session.answered;
    this.paint(number, this.stamps.findLast(({ first }) => first <= number)?.stamp ?? 0, picture);
    this.wake?.();
  }

  async tell() {
    const { session } = this, [x, , z, yaw] = session.pose, memory = session.memory();
    this.handlers.state({ shown: session.shown, finished: session.live.finished, earliest: session.earliest, memory, place: [x, z, yaw], psnr: null });
    if (this.looking || (this.thumbnails += 1) % 3) return; // decoding takes time that the walk needs too
    this.looking = true;
    const levels = memory.cells.length, at = this.thumbnails / 3, level = at % levels, column = Math.floor(at / levels) % THUMBNAILS;
    const frame = memory.first + Math.floor(((2 * column + 1) * memory.cells[0].length) / (2 * THUMBNAILS));
    try {
      const picture = await session.thumbnail(level, Math.max(frame, 0)), [height, width] = this.plan.image_size;
      const image = picture && (await createImageBitmap(new ImageData(picture, width, height)));
      if (image && session === this.session) this.handlers.thumbnail(level, column, frame, image);
    } catch (error) {
      this.fail(error);
    }
    this.looking = false;
  }

  share() {
    this.film().catch(({ message }) => this.handlers.told(`The film could not be made: ${message}.`));
  }

  /** A film of the walk, recorded from its pictures at their own pace. */
  async film() {
    const { session } = this, [height, width] = this.plan.image_size, scale = 4, canvas = document.createElement("canvas");
    if (!session.frames.length) return this.handlers.told("Nothing was walked yet.");
    [canvas.width, canvas.height] = [width * scale, height * scale];
    const context = canvas.getContext("2d"), type = ["video/mp4", "video/webm"].find((kind) => MediaRecorder.isTypeSupported(kind));
    if (!type) throw new Error("this browser records neither MP4 nor WebM");
    context.imageSmoothingEnabled = false;
    const recorder = new MediaRecorder(canvas.captureStream(this.fps), { mimeType: type, videoBitsPerSecond: 4e6 }), parts = [];
    recorder.ondataavailable = ({ data }) => parts.push(data);
    const ended = new Promise((done) => { recorder.onstop = done; });
    recorder.start();
    this.handlers.told("Recording the film …");
    for (const { picture } of [...session.frames]) {
      const image = await createImageBitmap(new ImageData(picture.slice(), width, height));
      context.drawImage(image, 0, 0, canvas.width, canvas.height);
      image.close();
      await new Promise((done) => { setTimeout(done, 1000 / this.fps); });
    }
    recorder.stop();
    await ended;
    if (this.address) URL.revokeObjectURL(this.address);
    this.address = URL.createObjectURL(new Blob(parts, { type }));
    this.handlers.saved({ url: this.address, name: `walk.${type.split("/")[1]}` });
  }
}
