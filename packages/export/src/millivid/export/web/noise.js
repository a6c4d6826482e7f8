// Standard normal numbers that depend on a seed and a step alone: the twin of `normal` in player.py.

function mixed(x) {
  x = Math.imul(x ^ (x >>> 16), 0x7feb352d);
  x = Math.imul(x ^ (x >>> 15), 0x846ca68b);
  return (x ^ (x >>> 16)) >>> 0;
}

export function normal(seed, step, count) {
  const state = mixed(mixed(seed) ^ step), found = new Float32Array(count);
  for (let n = 0; n < count; n += 1) {
    const [first, second] = [mixed(mixed(2 * n) ^ state), mixed(mixed(2 * n + 1) ^ state)];
    found[n] = Math.sqrt(-2 * Math.log((first + 1) / 2 ** 32)) * Math.cos(2 * Math.PI * (second / 2 ** 32));
  }
  return found;
}
