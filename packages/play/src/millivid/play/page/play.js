// The page: keys in, pictures out, and the memory drawn beside them.

import { makeEngine } from "./engine.js";

const at = (id) => document.getElementById(id);
const CELLS = [
  ["forgotten", "forgotten"], ["remembered", "in memory"], ["context", "being read"], ["target", "being written"],
  ["planned", "planned ahead"], ["empty", "not yet"],
];
const ARROWS = { forward: "↑", left: "←", right: "→" };
const KEYS = {
  ArrowUp: "forward", ArrowLeft: "left", ArrowRight: "right", w: "forward", a: "left", d: "right",
  W: "forward", A: "left", D: "right",
};
const SMALLEST_LEVEL = 34;

let settings = null, state = null, paused = false, withTruth = false, allMinds = false;
const held = []; // actions, the newest last
let pressed = null, lastStamp = 0, waiting = null;
const delays = [], arrivals = [], thumbnails = new Map(), walked = [];

const engine = makeEngine({
  begun(found) {
    settings = found;
    held.length = walked.length = 0;
    thumbnails.clear();
    pressed = null;
    state = null;
    at("seed").value = found.seed;
    at("truth").hidden = !found.truth;
    at("psnr-box").hidden = !found.truth;
    at("minds").hidden = found.offered.length < 2;
    for (const kind of ["save", "gif", "mp4"]) at(kind).hidden = !found.keeps.includes(kind);
    allMinds = found.minds.length > 1;
    at("minds").setAttribute("aria-pressed", String(allMinds));
    engine.press(null); // who begins anew lets go of all keys, also of one that was pressed since
    if (withTruth) engine.truth(true);
    makeViews();
    makeKeys();
    at("told").textContent = "Hold ↑ to walk, ← → to turn. Let go and time stands still.";
  },
  image(place, number, stamp, image) {
    const canvas = at("views").children[place]?.querySelector("canvas");
    if (!canvas) return image.close();
    canvas.width = image.width;
    canvas.height = image.height;
    canvas.getContext("2d").drawImage(image, 0, 0);
    image.close();
    canvas.dataset.frame = number;
    if (place !== 0) return;
    const now = performance.now();
    if (stamp) arrivals.push(now);
    while (arrivals.length > 60) arrivals.shift();
    if (waiting !== null && stamp >= waiting) {
      delays.push(now - waiting);
      if (delays.length > 200) delays.shift();
      waiting = null;
    }
    at("views").dataset.shown = number + 1;
  },
  thumbnail(level, column, frame, image) {
    thumbnails.get(`${level} ${column}`)?.image.close();
    thumbnails.set(`${level} ${column}`, { frame, image });
  },
  state(found) {
    state = found;
    const [x, z, yaw] = found.place;
    const last = walked.at(-1);
    while (walked.length && walked.at(-1).frame > found.shown) walked.pop();
    if (!last || last.x !== x || last.z !== z || last.yaw !== yaw) walked.push({ frame: found.shown, x, z, yaw });
    if (walked.length > 4000) walked.shift();
  },
  told(text) { at("told").textContent = text; },
  loading(share) {
    at("loading").hidden = share === null;
    at("loading").value = share ?? 0;
  },
  saved(found) {
    const told = at("told");
    if (found.folder) told.textContent = `Saved in ${found.folder}.`;
    else {
      told.textContent = "Your film: ";
      const link = document.createElement("a");
      link.href = found.url;
      link.download = link.textContent = found.name;
      told.append(link);
    }
  },
  lost(text) {
    at("told").textContent = text;
    held.length = 0;
    pressed = null;
  },
});

function makeViews() {
  const names = [...settings.minds, ...(withTruth && settings.truth ? ["truth"] : [])];
  at("views").replaceChildren(...names.map((name) => {
    const figure = document.createElement("figure");
    const canvas = document.createElement("canvas");
    const caption = document.createElement("figcaption");
    [canvas.height, canvas.width] = settings.size;
    caption.textContent = name === "truth" ? "the world itself" : name.replaceAll("_", " ");
    figure.append(canvas, caption);
    return figure;
  }));
}

function makeKeys() {
  at("keys").replaceChildren(...settings.actions.map((name) => {
    const button = document.createElement("button");
    button.textContent = ARROWS[name] ?? name;
    button.className = name;
    button.dataset.action = name;
    button.setAttribute("aria-label", name);
    button.onpointerdown = (event) => { button.setPointerCapture(event.pointerId); hold(name); };
    button.onpointerup = button.onpointercancel = button.onlostpointercapture = () => release(name);
    button.onkeydown = (event) => { if (event.key === "Enter") hold(name); };
    button.onkeyup = (event) => { if (event.key === "Enter") release(name); };
    return button;
  }));
}

function hold(name) {
  if (settings?.actions.includes(name) && !held.includes(name)) held.push(name);
  if (paused) pause(false);
  follow();
}

function release(name) {
  const place = held.indexOf(name);
  if (place >= 0) held.splice(place, 1);
  follow();
}

/** Tell the engine which action is held: the newest. */
function follow() {
  if (!settings) return;
  const name = paused ? undefined : held.at(-1);
  const action = name === undefined ? null : settings.actions.indexOf(name);
  if (action === pressed) return;
  if (action !== null && waiting === null) waiting = performance.now();
  if (action === null) waiting = null;
  if (action === null) arrivals.length = 0;
  pressed = action;
  engine.press(action);
  for (const button of at("keys").children) button.classList.toggle("held", button.dataset.action === name);
}

function pause(on) {
  paused = on;
  at("pause").setAttribute("aria-pressed", String(on));
  follow();
}

function restart() {
  const seed = Math.min(Math.max(Math.trunc(Number(at("seed").value)) || 0, 0), 2147483647);
  at("told").textContent = "A new beginning …";
  engine.restart(seed, allMinds);
}

function goBack(frame) {
  held.length = 0;
  pressed = null;
  waiting = null;
  engine.rewind(Math.max(0, Math.round(frame)));
  follow();
}

const commands = {
  " ": () => pause(!paused),
  t: () => { withTruth = !withTruth; at("truth").setAttribute("aria-pressed", String(withTruth)); engine.truth(withTruth); makeViews(); },
  m: () => { if (settings.offered.length > 1) { allMinds = !allMinds; restart(); } },
  r: restart,
};
at("pause").onclick = commands[" "];
at("truth").onclick = () => commands.t();
at("minds").onclick = () => commands.m();
at("restart").onclick = restart;
at("save").onclick = () => { pause(true); engine.save(); };
at("gif").onclick = () => { pause(true); engine.share("gif"); };
at("mp4").onclick = () => { pause(true); engine.share("mp4"); };

addEventListener("keydown", (event) => {
  if (!settings || event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input")) return;
  if (event.target === at("memory") && ["ArrowLeft", "ArrowRight"].includes(event.key)) return;
  const action = KEYS[event.key] ?? settings.actions[Number(event.key) - 1];
  if (action) {
    event.preventDefault();
    if (!event.repeat) hold(action);
  } else if (commands[event.key.toLowerCase()] && !(event.key === " " && event.target.matches("button"))) {
    event.preventDefault();
    if (!event.repeat) commands[event.key.toLowerCase()]();
  }
});
addEventListener("keyup", (event) => {
  const action = settings && (KEYS[event.key] ?? settings.actions[Number(event.key) - 1]);
  if (action) release(action);
});
addEventListener("blur", () => { held.length = 0; follow(); });

/** A gamepad's stick or cross, asked at every picture. */
let padded = null;
function askGamepad() {
  const pad = navigator.getGamepads?.().find((one) => one);
  if (!pad) return;
  const [x, y] = [pad.axes[0] ?? 0, pad.axes[1] ?? 0];
  const on = (number) => pad.buttons[number]?.pressed;
  const action = x < -0.5 || on(14) ? "left" : x > 0.5 || on(15) ? "right" : y < -0.5 || on(12) ? "forward" : null;
  if (action === padded) return;
  if (padded) release(padded);
  if (action) hold(action);
  padded = action;
}

const memory = at("memory");
let shownFrames = null; // of the memory's canvas: first frame, pixels per frame
memory.onclick = (event) => {
  if (!shownFrames || !state) return;
  const frame = shownFrames.first + (event.offsetX / memory.clientWidth) * shownFrames.count;
  if (frame < state.shown) goBack(Math.max(frame, state.earliest));
};
memory.onkeydown = (event) => {
  const by = { ArrowLeft: -8, ArrowRight: 8, PageUp: -32, PageDown: 32 }[event.key];
  if (!by || !state) return;
  event.preventDefault();
  goBack(Math.min(Math.max(state.shown + by, state.earliest), state.shown));
};

function fit(canvas) {
  const scale = devicePixelRatio || 1;
  const [width, height] = [Math.round(canvas.clientWidth * scale), Math.round(canvas.clientHeight * scale)];
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d");
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, canvas.clientWidth, canvas.clientHeight);
  return context;
}

function colour(name) { return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim(); }

function drawMemory() {
  if (!state || !memory.clientWidth) return;
  const context = fit(memory), { first, cells } = state.memory, [width, height] = [memory.clientWidth, memory.clientHeight];
  const count = cells[0].length, each = width / count, row = (height - 18) / cells.length, colours = CELLS.map(([name]) => colour(name));
  shownFrames = { first, count };
  [...cells].reverse().forEach((line, place) => {
    const level = cells.length - 1 - place, top = place * row;
    for (let begin = 0; begin < count; ) {
      let end = begin + 1;
      while (end < count && line[end] === line[begin]) end += 1;
      if (first + end > 0 && line[begin] !== "5") {
        context.fillStyle = colours[line[begin]];
        context.fillRect(Math.max(begin, -first) * each, top + 1, (end - Math.max(begin, -first)) * each, row - 3);
      }
      begin = end;
    }
    const side = Math.min(row - 5, SMALLEST_LEVEL * 1.4);
    for (const [key, { frame, image }] of thumbnails) {
      const left = (frame - first + 0.5) * each;
      if (Number(key.split(" ")[0]) === level && line[frame - first] > "0" && line[frame - first] < "5") {
        context.drawImage(image, left - side / 2, top + (row - side) / 2 - 1, side, side);
      }
    }
  });
  const now = (state.shown - first) * each;
  context.fillStyle = colour("accent");
  context.fillRect(now - 1, 0, 2, height - 16);
  context.fillStyle = colour("quiet");
  context.font = "12px system-ui";
  context.textBaseline = "bottom";
  context.textAlign = "center";
  context.fillText("now", Math.min(Math.max(now, 14), width - 14), height);
  context.textAlign = "left";
  context.fillText(first > 0 ? `frame ${first}` : "", 0, height);
  context.textAlign = "right";
  if (width - now > 90) context.fillText("what it expects", width, height);
  memory.setAttribute("aria-valuemin", state.earliest);
  memory.setAttribute("aria-valuemax", state.shown);
  memory.setAttribute("aria-valuenow", state.shown);
}

function drawMap() {
  const map = at("map");
  if (!walked.length || !map.clientWidth) return;
  const context = fit(map), side = map.clientWidth;
  const xs = walked.map(({ x }) => x), zs = walked.map(({ z }) => z);
  const [x0, x1, z0, z1] = [Math.min(...xs), Math.max(...xs), Math.min(...zs), Math.max(...zs)];
  const span = Math.max(x1 - x0, z1 - z0, 4) * 1.25, scale = side / span;
  // x grows to the left of someone who looks along +z
  const place = ({ x, z }) => [side / 2 - (x - (x0 + x1) / 2) * scale, side / 2 - (z - (z0 + z1) / 2) * scale];
  context.strokeStyle = colour("remembered");
  context.lineWidth = 2;
  context.beginPath();
  walked.forEach((point, number) => (number ? context.lineTo(...place(point)) : context.moveTo(...place(point))));
  context.stroke();
  const here = walked.at(-1), [left, top] = place(here), angle = (here.yaw * Math.PI) / 180;
  context.translate(left, top);
  context.rotate(angle);
  context.fillStyle = colour("accent");
  context.beginPath();
  context.moveTo(0, -9);
  context.lineTo(6, 7);
  context.lineTo(-6, 7);
  context.fill();
}

function figures() {
  const median = (values, share) => [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))];
  const times = arrivals.slice(-30);
  at("rate").textContent = times.length > 5 ? ((times.length - 1) / ((times.at(-1) - times[0]) / 1000)).toFixed(0) : "–";
  at("median").textContent = delays.length ? `${median(delays, 0.5).toFixed(0)} ms` : "–";
  at("slow").textContent = delays.length ? `${median(delays, 0.95).toFixed(0)} ms` : "–";
  at("psnr").textContent = state?.psnr ? `${state.psnr.toFixed(1)} dB` : "–";
}

at("legend").replaceChildren(...CELLS.slice(0, 5).map(([name, text]) => {
  const item = document.createElement("li"), patch = document.createElement("i");
  patch.className = name;
  patch.style.background = `var(--${name})`;
  item.append(patch, text);
  return item;
}));

let last = 0;
function draw(now) {
  askGamepad();
  if (now - last > 100) {
    last = now;
    drawMemory();
    drawMap();
    figures();
  }
  requestAnimationFrame(draw);
}
requestAnimationFrame(draw);
window.millivid = { engine, delays, arrivals, get state() { return state; }, get settings() { return settings; } };
