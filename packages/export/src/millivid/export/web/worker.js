// Where the model runs: fetches it, tells how far that is, and answers one question after the other.

import { Host } from "./host.js";

const MEGABYTE = 1e6;
let host = null;

/** The bytes of a file of the site. report: is told how many have come. Throws a sentence for one that is not as it was exported. */
async function fetched(address, { bytes, sha256 }, report) {
  const name = address.pathname.split("/").at(-1), unreachable = () => { throw new Error(`${name} cannot be loaded; look at the connection, and reload this page`); };
  address.search = sha256.slice(0, 16); // else an older one might come from the browser's cache
  const answer = await fetch(address).catch(unreachable);
  if (!answer.ok) throw new Error(`${name} cannot be loaded (${answer.status}); the site is not complete, export it again`);
  const parts = new Uint8Array(bytes), reader = answer.body.getReader();
  let length = 0;
  const next = () => reader.read().catch(unreachable);
  for (let part = await next(); !part.done; part = await next()) {
    if (length + part.value.length > bytes) length = Infinity;
    else parts.set(part.value, length);
    length += part.value.length;
    report(part.value.length);
  }
  // Pages of plain http have no digests, unless they are of this machine.
  const digest = crypto.subtle && new Uint8Array(await crypto.subtle.digest("SHA-256", parts));
  const hex = digest && Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
  if (length !== bytes || (hex && hex !== sha256)) throw new Error(`${name} has come damaged; reload this page, or export the site again`);
  return parts;
}

async function unzipped(bytes) {
  return new Uint8Array(await new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer());
}

/** The ways to compute that this browser has, the fastest first. */
async function backends() {
  const adapter = await navigator.gpu?.requestAdapter().catch(() => null), { isFallbackAdapter } = adapter?.info ?? adapter ?? {};
  return adapter && !isFallbackAdapter ? ["webgpu", "wasm"] : ["wasm"]; // a graphics card that is only imitated is slow
}

async function load({ site, asked }) {
  const at = (path) => new URL(path, site);
  const answer = await fetch(at("site.json"), { cache: "no-cache" }).catch(() => null);
  if (!answer?.ok) throw new Error("site.json cannot be loaded; the site is not complete, export it again");
  const { files, runtime, worlds, fps } = await answer.json();
  const ways = runtime[asked] ? [asked] : await backends();
  const wanted = Object.keys(files).filter((path) => path.startsWith("model/") || path.startsWith("worlds/") || path === runtime[ways[0]].binary);
  const all = wanted.reduce((sum, path) => sum + files[path].bytes, 0);
  let come = 0;
  const report = (bytes) => { come += bytes; postMessage({ loading: come / all, told: `Loading the model: ${(come / MEGABYTE).toFixed(0)} of ${(all / MEGABYTE).toFixed(0)} MB` }); };
  const found = Object.fromEntries(await Promise.all(wanted.map(async (path) => [path, await fetched(at(path), files[path], report)])));
  const plan = JSON.parse(new TextDecoder().decode(found["model/plan.json"]));
  postMessage({ loading: 1, told: "Making the model ready …" });
  let threads;
  for (const way of ways) {
    const sessions = {};
    try {
      const { module, binary } = runtime[way];
      if (binary) found[binary] ??= await fetched(at(binary), files[binary], () => {});
      const ort = await runtimeFrom(at(module), binary && found[binary], at("runtime/").href);
      await open(sessions, ort, way, found);
      host = new Host(ort, plan, sessions);
      await warmUp();
      [asked, threads] = [way, ort.env.wasm.numThreads];
      break;
    } catch (error) {
      await Promise.allSettled(Object.values(sessions).map((session) => session.release()));
      if (way === ways.at(-1)) throw error;
      console.warn(`${way} cannot be used here:`, error);
    }
  }
  const starts = worlds.map(({ file, ...world }) => ({ ...world, latents: new Float32Array(found[file].buffer) }));
  return { plan, starts, fps, backend: asked, threads };
}

async function runtimeFrom(module, binary, folder) {
  const ort = await import(module.href).catch(() => { throw new Error(`onnxruntime-web cannot be loaded from ${module}; look at the connection, and reload this page`); });
  if (binary) [ort.env.wasm.wasmBinary, ort.env.wasm.wasmPaths] = [await unzipped(binary), folder];
  ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency) : 1;
  ort.env.logLevel = "error";
  return ort;
}

async function open(sessions, ort, way, found) {
  const kept = way === "webgpu" ? { keys: "gpu-buffer", values: "gpu-buffer", placed: "gpu-buffer" } : undefined;
  for (const path of Object.keys(found).filter((name) => name.endsWith(".onnx"))) {
    const name = path.slice("model/".length), options = { executionProviders: [way], graphOptimizationLevel: "all", logSeverityLevel: 3 };
    if (name.startsWith("read")) options.preferredOutputLocation = kept;
    sessions[name] = await ort.InferenceSession.create(found[path], options);
  }
}

/** Nothing is to have its first use after the first key. */
async function warmUp() {
  const { plan } = host, actions = new Int32Array(plan.chunk.frames);
  for (const graph of plan.graphs.keys()) {
    const number = plan.steps.findIndex((step) => step.graph === graph), { context, targets } = plan.steps[number];
    await host.write(number, new Float32Array(context.tokens.frame.length * plan.channels), actions, new Float32Array(targets.tokens.frame.length * plan.channels));
  }
  await host.decode(new Float32Array(host.tokens * plan.channels), 0);
}

const answers = { load, write: (values) => host.write(...values), decode: (values) => host.decode(...values) };
let order = Promise.resolve();
onmessage = ({ data: { id, asks, given } }) => {
  order = order.then(async () => {
    try {
      const found = await answers[asks](given);
      postMessage({ id, found });
    } catch (error) {
      const told = error?.message ?? `onnxruntime-web ended with ${error}`; // it may throw a number
      const memory = /memory|allocation/i.test(told);
      postMessage({ id, failed: memory ? "this browser has too little memory for the model; close other tabs, and reload this page" : told });
    }
  });
};
