// Moves the animations of a page: histograms of weights by class, the threshold of each scheme as
// the sparsity goes up, and which weights of a matrix are left. No library, no network.
"use strict";

(() => {
  const SVG = "http://www.w3.org/2000/svg";
  const WIDTH = 200, HEIGHT = 64;
  const RUN = 6000; // milliseconds from nothing removed to the end
  const SLOW_STEP = 900, SLOW_STEPS = 19; // where less motion is wanted
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  const dark = matchMedia("(prefers-color-scheme: dark)");

  function add(parent, name, attributes) {
    const element = document.createElementNS(SVG, name);
    for (const key in attributes) element.setAttribute(key, attributes[key]);
    parent.append(element);
    return element;
  }

  // A histogram's outline; heights are square roots, so that thin tails can be seen.
  function outline(bins) {
    const top = Math.sqrt(Math.max(...bins, 1));
    const wide = WIDTH / bins.length;
    const steps = bins.map((count, i) => {
      const y = (HEIGHT * (1 - Math.sqrt(count) / top)).toFixed(1);
      return `L${(i * wide).toFixed(1)} ${y}L${((i + 1) * wide).toFixed(1)} ${y}`;
    });
    return `M0 ${HEIGHT}${steps.join("")}L${WIDTH} ${HEIGHT}Z`;
  }

  function histogram(cell, data, k, scheme) {
    cell.classList.add(scheme.name);
    cell.dataset.class = data.classes[k].name;
    cell.dataset.scheme = scheme.name;
    const svg = add(cell, "svg", {
      viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true",
    });
    const shape = outline(data.classes[k].bins);
    add(svg, "path", { d: shape, class: "kept" });
    const gone = add(svg, "rect", { y: 0, height: HEIGHT, class: "gone" });
    add(svg, "path", { d: shape, class: "edge" });
    const lines = [0, 1].map(() => add(svg, "line", { y1: 0, y2: HEIGHT, class: "threshold" }));
    const share = document.createElement("b");
    const below = document.createElement("small");
    const text = document.createElement("p");
    text.append(share, " ", below);
    cell.append(text);
    return (step) => {
      const threshold = scheme.thresholds[step][k];
      const reach = Math.min(1, threshold / data.limit) * (WIDTH / 2);
      const [left, right] = [WIDTH / 2 - reach, WIDTH / 2 + reach];
      gone.setAttribute("x", left);
      gone.setAttribute("width", right - left);
      [left, right].forEach((x, i) => {
        lines[i].setAttribute("x1", x);
        lines[i].setAttribute("x2", x);
      });
      const removed = scheme.removed[step][k];
      cell.dataset.threshold = threshold;
      cell.dataset.removed = removed;
      share.textContent = `${(100 * removed / data.classes[k].weights).toFixed(1)}%`;
      below.textContent = `|w| < ${Number(threshold.toPrecision(3))}`;
    };
  }

  function colour(name) {
    const text = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
    const value = parseInt(text.slice(1), 16);
    return [value >> 16, (value >> 8) & 255, value & 255];
  }

  function bitmap(cell, data, bitmap, s) {
    const [rows, columns] = bitmap.shape;
    const dies = Uint8Array.from(atob(bitmap.dies[s]), (c) => c.charCodeAt(0));
    const canvas = document.createElement("canvas");
    canvas.width = columns;
    canvas.height = rows;
    canvas.setAttribute("role", "img");
    const share = document.createElement("p");
    cell.append(canvas, share);
    const context = canvas.getContext("2d");
    const image = context.createImageData(columns, rows);
    return (step) => {
      const kept = colour("--kept"), gone = colour("--gone");
      let left = 0;
      for (let i = 0; i < dies.length; i++) {
        const alive = dies[i] > step;
        left += alive;
        image.data.set(alive ? kept : gone, 4 * i);
        image.data[4 * i + 3] = 255;
      }
      context.putImageData(image, 0, 0);
      const text = `${(100 * left / dies.length).toFixed(1)}% left`;
      share.textContent = text;
      canvas.setAttribute("aria-label", `${bitmap.name}, ${data.schemes[s].name}: ${text}`);
    };
  }

  // What a frame shows, in words: whom each scheme spares and whom it hits.
  function inWords(data, step) {
    if (step === 0) return "Nothing is removed yet: every weight is there.";
    const parts = data.schemes.map((scheme) => {
      const shares = data.classes.map((one, k) => 100 * scheme.removed[step][k] / one.weights);
      const [low, high] = [Math.min(...shares), Math.max(...shares)];
      const name = (share) => data.classes[shares.indexOf(share)].name;
      if (high - low < 0.1) return `${scheme.name} the same ${high.toFixed(1)}% of each class`;
      const least = `from ${low.toFixed(1)}% of ${name(low)}`;
      return `${scheme.name} ${least} to ${high.toFixed(1)}% of ${name(high)}`;
    });
    return `At ${data.sparsities[step]}% of all weights, these are gone: ${parts.join("; ")}.`;
  }

  function start(root) {
    const data = JSON.parse(root.querySelector("script").textContent);
    const slider = root.querySelector(".slider");
    const button = root.querySelector(".play");
    const now = root.querySelector(".now");
    const seen = root.querySelector(".seen");
    const count = data.schemes.length;
    const updates = [];
    root.querySelectorAll(".histogram").forEach((cell, i) => {
      updates.push(histogram(cell, data, Math.floor(i / count), data.schemes[i % count]));
    });
    root.querySelectorAll(".bitmap").forEach((cell, i) => {
      updates.push(bitmap(cell, data, data.bitmaps[Math.floor(i / count)], i % count));
    });
    const last = data.sparsities.length - 1;
    let timer = null;

    function show(step) {
      slider.value = step;
      const text = `${data.sparsities[step]}%`;
      slider.setAttribute("aria-valuetext", `${text} removed`);
      now.textContent = text;
      seen.textContent = inWords(data, step);
      for (const update of updates) update(step);
    }

    function pause() {
      clearInterval(timer);
      timer = null;
      button.textContent = "Play";
      button.setAttribute("aria-pressed", "false");
    }

    function play() {
      if (Number(slider.value) >= last) show(0);
      const stride = calm.matches ? Math.max(1, Math.round(last / SLOW_STEPS)) : 1;
      const wait = calm.matches ? SLOW_STEP : RUN / last;
      const from = Number(slider.value), begun = performance.now();
      button.textContent = "Pause";
      button.setAttribute("aria-pressed", "true");
      timer = setInterval(() => {
        // by the clock: a slow machine skips frames, and ends in time
        const steps = Math.max(1, Math.floor((performance.now() - begun) / wait));
        const next = Math.min(last, from + stride * steps);
        if (next !== Number(slider.value)) show(next);
        if (next === last) pause();
      }, wait);
    }

    slider.addEventListener("input", () => {
      pause();
      show(Number(slider.value));
    });
    button.addEventListener("click", () => (timer === null ? play() : pause()));
    dark.addEventListener("change", () => show(Number(slider.value)));
    // paper holds still, at the frame that the caption's numbers are of
    let before = null;
    addEventListener("beforeprint", () => {
      before = slider.value;
      pause();
      show(Number(root.dataset.still));
    });
    addEventListener("afterprint", () => before !== null && show(Number(before)));
    show(0);
  }

  document.querySelectorAll(".animation").forEach(start);
})();
