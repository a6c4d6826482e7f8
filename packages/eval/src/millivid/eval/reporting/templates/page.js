"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const generated = data.total - data.context;
  const figures = [...document.querySelectorAll("#stage figure")];
  const videos = figures.map((figure) => figure.querySelector("video"));
  const slider = byId("slider"), where = byId("where");
  const escape = (text) => text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
  let current = 0, all = false, mean = false, frame = 0, playing = false;

  // ---- the track: context and horizons behind the slider
  const at = (f) => `${(100 * f) / data.total}%`;
  const segment = (name, first, last, colour) =>
    `<i class="${colour ? "context" : ""}" style="left:${at(first)};width:${at(last - first)};${colour ? `background:${colour}` : ""}"></i>` +
    `<span style="left:${at(first)};width:${at(last - first)}">${escape(name)}</span>`;
  byId("track").innerHTML = (data.context ? segment("context", 0, data.context, data.contextColour) : "") +
    data.horizons.map((h) => segment(h.name, data.context + h.first - 1, data.context + h.last)).join("");

  // ---- charts: small SVGs, drawn anew when their width changes
  const charts = data.metrics.map((metric) => {
    const element = document.createElement("div");
    element.className = "chart";
    const unit = metric.unit ? ` (${metric.unit})` : "";
    element.innerHTML = `<h4>${escape(metric.label + unit)}<span>${metric.better === "higher" ? "↑" : "↓"} ${metric.better} is better</span></h4>` +
      `<div class="plot"></div><ul class="legend">` + data.runs.map((run) =>
        `<li class="${run.role}"><svg viewBox="0 0 22 8"><line x1="0" x2="22" y1="4" y2="4" stroke="${run.colour}" stroke-width="${run.role === "run" ? 3 : 2}" stroke-dasharray="${run.dash}"/></svg>` +
        `<span class="name">${escape(run.name)}</span><b></b></li>`).join("") + "</ul>";
    byId("charts").append(element);
    const plot = element.querySelector(".plot");
    const seek = (event) => {
      const box = plot.getBoundingClientRect();
      const share = (event.clientX - box.left - LEFT) / (box.width - LEFT - RIGHT);
      show(data.context + Math.round(Math.min(1, Math.max(0, share)) * (generated - 1)), true);
    };
    plot.addEventListener("pointerdown", (event) => { pause(); seek(event); });
    plot.addEventListener("pointermove", (event) => { if (event.buttons) seek(event); });
    return { metric, plot, values: [...element.querySelectorAll(".legend b")] };
  });
  const LEFT = 42, RIGHT = 8, TOP = 18, HEIGHT = 170, BOTTOM = 22;

  const curve = (run, metric) => (mean ? run.mean[metric.name] : run.videos[metric.name][current]);

  const ticks = (low, high) => {
    const rough = (high - low) / 4, power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough);
    const list = [];
    for (let t = Math.ceil(low / step) * step; t <= high + step * 1e-6; t += step) list.push(+t.toPrecision(6));
    return list;
  };

  function draw(chart) {
    const width = Math.max(200, chart.plot.clientWidth);
    const curves = data.runs.map((run) => curve(run, chart.metric));
    const finite = curves.flat().filter((v) => v !== null);
    let low = Math.min(...finite), high = Math.max(...finite);
    if (!finite.length) [low, high] = [0, 1];
    const pad = (high - low) * 0.08 || Math.abs(high) * 0.1 || 0.1;
    low -= pad; high += pad;
    const x = (i) => LEFT + (generated > 1 ? i / (generated - 1) : 0.5) * (width - LEFT - RIGHT);
    const y = (v) => TOP + (1 - (v - low) / (high - low)) * (HEIGHT - TOP - BOTTOM);
    const half = generated > 1 ? (x(1) - x(0)) / 2 : 20;
    let svg = data.horizons.map((h, k) => {
      const a = Math.max(LEFT, x(h.first - 1) - half), b = Math.min(width - RIGHT, x(h.last - 1) + half);
      const name = b - a > 6.2 * h.name.length ? `<text x="${(a + b) / 2}" y="11" text-anchor="middle">${escape(h.name)}</text>` : "";
      return (k % 2 ? "" : `<rect class="band" x="${a}" y="${TOP}" width="${Math.max(0, b - a)}" height="${HEIGHT - TOP - BOTTOM}"/>`) + name;
    }).join("");
    for (const t of ticks(low, high)) {
      svg += `<line class="grid" x1="${LEFT}" x2="${width - RIGHT}" y1="${y(t)}" y2="${y(t)}"/><text x="${LEFT - 6}" y="${y(t) + 4}" text-anchor="end">${t}</text>`;
    }
    let lastLabel = -99;
    for (const f of [...new Set([1, ...data.horizons.map((h) => h.last), generated])].sort((a, b) => a - b)) {
      if (x(f - 1) - lastLabel < 26 && f !== generated) continue;
      lastLabel = x(f - 1);
      svg += `<text x="${x(f - 1)}" y="${HEIGHT - 6}" text-anchor="${f === generated && generated > 1 ? "end" : "middle"}">${f}</text>`;
    }
    data.runs.map((run, k) => [run, curves[k]]).sort((a, b) => (a[0].role === "run") - (b[0].role === "run")).forEach(([run, values]) => {
      let path = "", open = false;
      values.forEach((v, i) => {
        if (v === null) { open = false; return; }
        path += `${open ? "L" : "M"}${x(i).toFixed(1)} ${y(v).toFixed(1)}`;
        open = true;
      });
      if (generated === 1 && path) path += "h0.01";
      svg += `<path d="${path}" fill="none" stroke="${run.colour}" stroke-width="${generated === 1 ? 7 : run.role === "run" ? 2 : 1.5}" stroke-linejoin="round" stroke-linecap="${generated === 1 ? "round" : "butt"}" stroke-dasharray="${run.dash}"/>`;
    });
    svg += `<line class="cursor" y1="${TOP}" y2="${HEIGHT - BOTTOM}"/>`;
    chart.plot.innerHTML = `<svg viewBox="0 0 ${width} ${HEIGHT}" height="${HEIGHT}" role="img" aria-label="${escape(chart.metric.label)} over the generated frames">${svg}</svg>`;
    chart.cursor = chart.plot.querySelector(".cursor");
    chart.x = x;
  }
  const labels = document.querySelectorAll("#track span");
  const redraw = () => {
    charts.forEach(draw);
    labels.forEach((label) => { label.style.visibility = label.scrollWidth > label.clientWidth ? "hidden" : "visible"; });
    mark();
  };

  function mark() {
    const index = frame - data.context, inside = index >= 0;
    where.innerHTML = inside ? `generated <b>+${index + 1}</b>` : `context <b>${frame + 1}</b>/${data.context}`;
    slider.value = frame;
    slider.setAttribute("aria-valuetext", where.textContent);
    for (const chart of charts) {
      chart.cursor.style.visibility = inside ? "visible" : "hidden";
      if (inside) { chart.cursor.setAttribute("x1", chart.x(index)); chart.cursor.setAttribute("x2", chart.x(index)); }
      data.runs.forEach((run, k) => {
        const value = inside ? curve(run, chart.metric)[index] : undefined;
        chart.values[k].textContent = value === undefined ? "" : value === null ? "∞" : value.toFixed(chart.metric.decimals);
      });
    }
  }

  // ---- playing: the first visible video leads, the others are pulled to it
  const visible = () => (all ? videos : [videos[current]]);
  function show(next, seek) {
    frame = Math.min(data.total - 1, Math.max(0, next));
    if (seek) visible().forEach((video) => { video.currentTime = (frame + 0.5) / data.fps; });
    mark();
  }
  function play() {
    playing = true;
    byId("play-icon").setAttribute("d", "M3.5 2.5h3v11h-3zM9.5 2.5h3v11h-3z");
    visible().forEach((video) => video.play().catch(() => pause()));
  }
  function pause() {
    playing = false;
    byId("play-icon").setAttribute("d", "M4 2.5v11l9-5.5z");
    videos.forEach((video) => video.pause());
  }
  function tick() {
    if (playing) {
      const [leader, ...others] = visible();
      others.forEach((video) => { if (Math.abs(video.currentTime - leader.currentTime) > 1.5 / data.fps) video.currentTime = leader.currentTime; });
      const now = Math.floor(leader.currentTime * data.fps + 1e-3);
      if (now !== frame && now < data.total) show(now, false);
    }
    requestAnimationFrame(tick);
  }
  function choose(index, everything) {
    const was = playing;
    pause();
    current = index; all = everything;
    figures.forEach((figure, k) => { figure.hidden = !all && k !== current; });
    byId("stage").classList.toggle("many", all);
    document.querySelectorAll(".chip").forEach((chip) =>
      chip.setAttribute("aria-pressed", String(chip.id === "all" ? all : !all && +chip.dataset.index === current)));
    if (all) setMean(true); else if (everything === false) setMean(false);
    show(frame, true);
    if (was) play();
  }
  function setMean(value) {
    if (!charts.length) return;
    mean = value;
    byId("one").setAttribute("aria-pressed", String(!mean));
    byId("mean").setAttribute("aria-pressed", String(mean));
    redraw();
  }

  byId("chips").addEventListener("click", (event) => {
    const chip = event.target.closest(".chip");
    if (!chip) return;
    if (chip.id === "all") choose(current, true); else choose(+chip.dataset.index, false);
  });
  if (charts.length) {
    byId("one").addEventListener("click", () => (all ? choose(current, false) : setMean(false)));
    byId("mean").addEventListener("click", () => setMean(true));
  }
  byId("play").addEventListener("click", () => (playing ? pause() : play()));
  slider.addEventListener("input", () => { pause(); show(+slider.value, true); });
  document.addEventListener("keydown", (event) => {
    if (event.target.closest("input, summary, a, button, [tabindex]") && event.key === " ") return;
    if (event.target === slider) return;
    if (event.key === " ") { event.preventDefault(); playing ? pause() : play(); }
    if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
      if (event.target.closest("[tabindex]")) return;
      event.preventDefault(); pause(); show(frame + (event.key === "ArrowRight" ? 1 : -1), true);
    }
  });
  new ResizeObserver(redraw).observe(byId("track"));
  redraw();
  requestAnimationFrame(tick);
  // A page opened at #f=90 stands still at that frame; otherwise it plays, unless the reader prefers less motion.
  const fixed = /^#f=(\d+)$/.exec(location.hash);
  if (fixed) show(+fixed[1], true);
  else if (!matchMedia("(prefers-reduced-motion: reduce)").matches) play();
})();
