// Runs an exported model's graphs: the twin of player.py's `write` and `decode`. `ort` is onnxruntime-web.

export class Host {
  /** sessions: of the plan's graphs by file name, those of encoding left out. */
  constructor(ort, plan, sessions) {
    [this.ort, this.plan, this.sessions] = [ort, plan, sessions];
    this.channels = plan.channels;
    this.tokens = plan.grids.reduce((sum, [height, width]) => sum + height * width, 0);
    this.columns = plan.steps.map((step) => ({ ...this.fixed("context", step.context), ...this.fixed("target", step.targets) }));
    this.tables = new Map();
  }

  /** Columns that are the same whenever the step is run. */
  fixed(prefix, { sequence }) {
    const { frame, level, ...rest } = sequence;
    return Object.fromEntries(Object.entries(rest).map(([name, values]) => [`${prefix}_${name}`, this.whole(values)]));
  }

  whole(values) { return new this.ort.Tensor("int32", Int32Array.from(values), [values.length]); }
  real(values, shape) { return new this.ort.Tensor("float32", values, shape); }

  async run(graph, known) {
    const session = this.sessions[graph];
    return session.run(Object.fromEntries(session.inputNames.map((name) => [name, known[name]])));
  }

  /** Shifts, scales and gates at a time; computed once, for actions are categories. */
  async tablesAt(graph, t) {
    const key = `${graph} ${t}`, { level, action } = this.plan.conditions;
    if (!this.tables.has(key)) {
      const known = { t: this.real(Float32Array.of(t), []), level: this.whole(level), action: this.whole(action) };
      this.tables.set(key, await this.run(graph, known));
    }
    return this.tables.get(key);
  }

  /** Run a step of the chunk; context: the latents that it reads, token after token; actions: of the chunk's frames.
   *  Gives the latents that it writes. */
  async write(number, context, actions, noise) {
    const step = this.plan.steps[number], graph = this.plan.graphs[step.graph], c = this.channels;
    let known = { ...this.columns[number] };
    const poses = this.poses(actions, step.origin);
    for (const [prefix, { sequence }] of [["context", step.context], ["target", step.targets]]) {
      known[`${prefix}_pose`] = this.real(Float32Array.from(sequence.frame.flatMap((frame) => poses[frame])), [sequence.frame.length, 3]);
      known[`${prefix}_condition`] = this.rows(sequence, actions);
    }
    const shape = [noise.length / c, c];
    known.context = this.real(this.scaled(context, step.context.tokens.level, (x, mean, std) => (x - mean) / std), [context.length / c, c]);
    known.context_blocks = (await this.tablesAt(graph.context_tables, 0)).blocks;
    if (graph.read) known = { ...known, ...(await this.run(graph.read, known)) };
    try {
      return this.scaled(await this.solved(graph, known, noise, shape), step.targets.tokens.level, (x, mean, std) => x * std + mean);
    } finally {
      for (const name of ["keys", "values", "placed"]) known[name]?.dispose?.();
    }
  }

  /** The data that the solver finds. */
  async solved(graph, known, noise, shape) {
    const found = [noise];
    for (const { t, alpha, sigma, noisy } of this.plan.evaluations) {
      const { blocks, head } = await this.tablesAt(graph.targets_tables, t), seen = new Float32Array(noise.length);
      noisy.forEach((weight, part) => { for (let n = 0; n < seen.length; n += 1) seen[n] += weight * found[part][n]; });
      const scalars = { alpha: this.real(Float32Array.of(alpha), []), sigma: this.real(Float32Array.of(sigma), []) };
      found.push((await this.run(graph.denoise, { ...known, ...scalars, blocks, head, noisy: this.real(seen, shape) })).data.data);
    }
    if (!found.at(-1).every(Number.isFinite)) throw new Error("the model gives no finite numbers here; try another browser");
    return found.at(-1);
  }

  /** Latents of tokens of these levels, each number changed by its channel's mean and deviation. */
  scaled(latents, levels, change) {
    const { mean, std } = this.plan.statistics, c = this.channels, found = new Float32Array(latents.length);
    levels.forEach((level, token) => {
      for (let n = 0; n < c; n += 1) found[token * c + n] = change(latents[token * c + n], mean[level][n], std[level][n]);
    });
    return found;
  }

  rows({ frame, level }, actions) {
    const { count } = this.plan.actions;
    return this.whole(frame.map((at, n) => level[n] * (count + 1) + (count ? actions[at] + 1 : 0)));
  }

  /** Place and heading at every frame as seen from one of them, by dead reckoning. */
  poses(actions, origin) {
    const { odometry } = this.plan.actions;
    let [x, y, heading] = [0, 0, 0];
    const found = Array.from(actions, (action) => {
      const [distance, turn] = odometry?.[action] ?? [0, 0];
      heading += (turn * Math.PI) / 180;
      x += distance * Math.cos(heading);
      y += distance * Math.sin(heading);
      return [x, y, heading];
    });
    const [x0, y0, heading0] = found[origin], [cos, sin] = [Math.cos(heading0), Math.sin(heading0)];
    return found.map((pose) => {
      const [dx, dy] = [pose[0] - x0, pose[1] - y0];
      return [cos * dx + sin * dy, cos * dy - sin * dx, pose[2] - heading0];
    });
  }

  /** The picture, red, green, blue and opacity of every pixel, that one level of a frame's latents shows. */
  async decode(latents, level) {
    const known = { latents: this.real(latents, [this.tokens, this.channels]), level: new this.ort.Tensor("int32", Int32Array.of(level), []) };
    const { frame } = await this.run("decode.onnx", known), pixels = frame.data.length / 3, picture = new Uint8ClampedArray(4 * pixels);
    for (let n = 0; n < pixels; n += 1) {
      for (let part = 0; part < 3; part += 1) picture[4 * n + part] = Math.round(frame.data[part * pixels + n] * 255);
      picture[4 * n + 3] = 255;
    }
    return picture;
  }
}
