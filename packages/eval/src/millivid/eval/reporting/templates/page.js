"use strict";
{
  const data = JSON.parse(document.getElementById("data").textContent);
  const [slider, where, button, stage] = ["slider", "where", "play", "stage"].map((id) => document.getElementById(id));
  const generated = data.total - data.context;
  const figures = [...stage.children], videos = [...stage.querySelectorAll("video")];
  const charts = [...document.querySelectorAll("[data-metric]")].map((element) => ({
    metric: element.dataset.metric,
    decimals: +element.dataset.decimals,
    plot: element.querySelector(".plot"),
    svg: element.querySelector(".plot svg"),
    ticks: element.querySelector(".ticks"),
    cursor: element.querySelector(".cursor"),
    paths: [...element.querySelectorAll(".plot path")].reverse(), // the first run is drawn last, on top
    values: [...element.querySelectorAll("li b")],
  }));
  let current = 0, all = false, mean = false, frame = 0, playing = false;

  // ---- charts: one unit across is a frame, one unit up is one of the metric; the browser stretches it
  const curve = (run, metric) => (mean ? run.mean[metric] : run.videos[metric][current]);

  function round(low, high) {
    const rough = (high - low) / 4, power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough);
    const first = Math.ceil(low / step), count = Math.floor(high / step) - first + 1;
    return Array.from({ length: count }, (_, i) => +((first + i) * step).toPrecision(6));
  }

  // Where a value is missing the line begins anew; "h0" makes a dot of one that stands alone.
  const line = (values) =>
    values.map((v, i) => (v === null ? "" : `${(values[i - 1] ?? null) === null ? "M" : "L"}${i} ${-v}h0`)).join("");

  function draw({ metric, svg, ticks, cursor, paths }) {
    const curves = data.runs.map((run) => curve(run, metric));
    const finite = curves.flat().filter((v) => v !== null);
    const [least, most] = finite.length ? [Math.min(...finite), Math.max(...finite)] : [0, 1];
    const pad = (most - least) * 0.08 || Math.abs(most) * 0.1 || 0.1;
    const low = least - pad, high = most + pad;
    svg.setAttribute("viewBox", `-0.5 ${-high} ${generated} ${high - low}`);
    curves.forEach((values, k) => paths[k].setAttribute("d", line(values)));
    cursor.setAttribute("y1", -low);
    cursor.setAttribute("y2", -high);
    ticks.innerHTML = round(low, high).map((t) => `<i style="--at:${(t - low) / (high - low)}">${t}</i>`).join("");
  }

  function mark() {
    const index = frame - data.context, inside = index >= 0;
    where.innerHTML = inside ? `generated <b>+${index + 1}</b>` : `context <b>${frame + 1}</b>/${data.context}`;
    slider.value = frame;
    slider.setAttribute("aria-valuetext", where.textContent);
    for (const { metric, decimals, cursor, values } of charts) {
      cursor.style.visibility = inside ? "visible" : "hidden";
      cursor.setAttribute("x1", Math.max(0, index));
      cursor.setAttribute("x2", Math.max(0, index));
      data.runs.forEach((run, k) => {
        values[k].textContent = inside ? curve(run, metric)[index]?.toFixed(decimals) ?? "∞" : "";
      });
    }
  }

  // ---- playing: the first visible video leads, the others are pulled to it
  const visible = () => (all ? videos : [videos[current]]);

  function show(next) {
    frame = Math.min(data.total - 1, Math.max(0, next));
    visible().forEach((video) => { video.currentTime = (frame + 0.5) / data.fps; });
    mark();
  }

  function play(on) {
    playing = on;
    button.textContent = on ? "Pause" : "Play";
    videos.forEach((video) => { if (!on || !visible().includes(video)) video.pause(); });
    if (on) visible().forEach((video) => video.play().catch(() => play(false)));
  }

  function stop(next) {
    play(false);
    show(next);
  }

  function follow() {
    if (playing) {
      const [leader, ...others] = visible();
      for (const video of others) {
        if (Math.abs(video.currentTime - leader.currentTime) > 1.5 / data.fps) video.currentTime = leader.currentTime;
      }
      frame = Math.min(data.total - 1, Math.floor(leader.currentTime * data.fps + 1e-3));
      mark();
    }
    requestAnimationFrame(follow);
  }

  // ---- what is chosen
  const choose = (group, value) => {
    for (const input of document.getElementsByName(group)) input.checked = input.value === String(value);
  };

  function chooseVideo(value) {
    const was = playing;
    play(false);
    all = value === "all";
    if (!all) current = +value;
    choose("video", value);
    figures.forEach((figure, k) => { figure.hidden = !all && k !== current; });
    stage.classList.toggle("many", all);
    chooseCurves(all);
    show(frame);
    if (was) play(true);
  }

  function chooseCurves(ofAll) {
    mean = ofAll;
    choose("curves", mean ? "mean" : "one");
    charts.forEach(draw);
    mark();
  }

  document.addEventListener("change", ({ target }) => {
    if (target.name === "video") chooseVideo(target.value);
    if (target.name === "curves") target.value === "one" && all ? chooseVideo(current) : chooseCurves(target.value === "mean");
    if (!target.matches(":focus-visible")) target.blur(); // so that keys go to the video after a click
  });
  button.addEventListener("click", () => play(!playing));
  slider.addEventListener("input", () => stop(+slider.value));
  for (const { plot } of charts) {
    const seek = (event) => {
      const { left, width } = plot.getBoundingClientRect();
      const index = Math.floor(((event.clientX - left) / width) * generated);
      stop(data.context + Math.min(generated - 1, Math.max(0, index)));
    };
    plot.addEventListener("pointerdown", seek);
    plot.addEventListener("pointermove", (event) => { if (event.buttons) seek(event); });
  }
  document.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (event.target.closest("input, [tabindex]") || (event.key !== " " && !step)) return;
    if (event.key === " " && event.target.closest("summary, a, button")) return;
    event.preventDefault();
    if (step) stop(frame + step); else play(!playing);
  });

  chooseVideo(0);
  requestAnimationFrame(follow);
  // A page opened at #f=90 stands still at that frame; otherwise it plays, unless the reader prefers less motion.
  const fixed = /^#f=(\d+)$/.exec(location.hash);
  if (fixed) show(+fixed[1]);
  else if (!matchMedia("(prefers-reduced-motion: reduce)").matches) play(true);
}
