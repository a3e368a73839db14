"use strict";
// The page's only script, allowed by its digest. Without it the page is complete:
// the contents stand still, and a table gives the times that the model part computes.

/** Mark the entry of the part being read in the contents. */
function followReading() {
  const links = [...document.querySelectorAll(".contents a")];
  const parts = links.map((link) => document.getElementById(decodeURIComponent(link.hash.slice(1))));
  const mark = () => {
    const atEnd = innerHeight + scrollY >= document.documentElement.scrollHeight - 2;
    const passed = parts.filter((part) => part.getBoundingClientRect().top < innerHeight / 4);
    const current = atEnd ? parts.at(-1) : passed.at(-1);
    links.forEach((link, index) => {
      if (parts[index] === current) link.setAttribute("aria-current", "location");
      else link.removeAttribute("aria-current");
    });
  };
  addEventListener("scroll", mark, { passive: true });
  mark();
}

/** Interpolate two values linearly in logarithms; null where one is unknown. */
function between(share, pair) {
  if (pair.includes(null)) return null;
  const [low, high] = pair.map(Math.log);
  return Math.exp(low + share * (high - low));
}

/** Seconds beyond the measured sizes with their 95 % prediction interval. */
function extrapolate(model, parameters) {
  const terms = [1, parameters, Math.sqrt(parameters)].map((term, i) => term * model.seconds[i]);
  const seconds = terms.reduce((sum, term) => sum + term, 0);
  const spread = terms.reduce((sum, one, i) => sum + terms.reduce(
    (part, other, j) => part + one * model.inverse[i][j] * other, 0), 0) / seconds ** 2;
  const factor = Math.exp(model.reach * Math.sqrt(1 + spread));
  return { seconds, low: seconds / factor, high: seconds * factor };
}

/** Seconds of a training with their limits and source: the twin of interpolate.predict. */
function predict(curve, parameters) {
  const sizes = curve.parameters;
  if (parameters < sizes[0] || parameters > sizes.at(-1)) {
    if (!curve.model) return { seconds: null, low: null, high: null, source: "unknown" };
    return { ...extrapolate(curve.model, parameters), source: "extrapolated" };
  }
  const right = Math.max(1, sizes.findIndex((size) => size >= parameters));
  const share = Math.log(parameters / sizes[right - 1]) / Math.log(sizes[right] / sizes[right - 1]);
  const at = (name) => between(share, curve[name].slice(right - 1, right + 1));
  const kinds = curve.interval.slice(right - 1, right + 1);
  const kind = [...new Set(kinds)].map((name) => `${name}s`).join(" and ");
  return { seconds: at("seconds"), low: at("low"), high: at("high"), source: "interpolated", kind };
}

/** Seconds with three digits, such as 0.0123, 4.50 or 1,230. */
function secondsText(seconds) {
  return seconds < 100 ? seconds.toPrecision(3) : Math.round(seconds).toLocaleString("en");
}

/** Where a predicted time comes from and how sure it is, in words. */
function basis(curve, predicted) {
  const sizes = [curve.parameters[0], curve.parameters.at(-1)]
    .map((size) => size.toLocaleString("en")).join(" to ");
  if (predicted.source === "unknown") return `Not predicted: measured from ${sizes} parameters only.`;
  const limits = `${secondsText(predicted.low ?? 0)} to ${secondsText(predicted.high ?? 0)} s`;
  if (predicted.source === "extrapolated") {
    return `Outside the measured ${sizes} parameters: extrapolated, ` +
      `95 % prediction interval ${limits}.`;
  }
  return "Interpolated between measured medians" +
    (predicted.low === null ? "; single trainings, so no interval." : `; their ${predicted.kind}, likewise, ${limits}.`);
}

/** Who wins, in words; a tie where the intervals overlap. */
function verdict(cpu, gpu) {
  if (cpu.seconds === null || gpu.seconds === null) return "No verdict: a time is missing.";
  const ratio = cpu.seconds / gpu.seconds;
  const bounded = cpu.low !== null && gpu.low !== null;
  if (bounded && cpu.low <= gpu.high && gpu.low <= cpu.high) {
    return "Too close to call: the intervals overlap.";
  }
  return ratio > 1
    ? `■ The GPU is ${ratio.toFixed(2)} times as fast.`
    : `● The CPU is ${(1 / ratio).toFixed(2)} times as fast.`;
}

/** Fill a select with texts; text stays text. */
function fill(select, texts, chosen) {
  for (const text of new Set(texts)) {
    select.add(new Option(text, text, false, text === chosen));
  }
}

/** Bring the model part to life: its choices, its slider, its two times and the verdict. */
function startModel(part) {
  const { curves, start } = JSON.parse(part.querySelector("script").textContent);
  const field = (name) => part.querySelector(`[name="${name}"]`);
  const row = (device) => part.querySelector(`[data-device="${device}"]`);
  for (const device of ["cpu", "gpu"]) {
    const machines = curves.filter((curve) => curve.device === device).map((c) => c.machine);
    fill(field(device), machines, start[device]);
  }
  fill(field("protocol"), curves.map((curve) => curve.protocol), start.protocol);
  fill(field("timing"), curves.map((curve) => curve.timing), start.timing);

  const show = (device, parameters) => {
    const [protocol, timing] = [field("protocol").value, field("timing").value];
    const curve = curves.find((c) => c.machine === field(device).value && c.device === device &&
      c.protocol === protocol && c.timing === timing);
    const predicted = curve ? predict(curve, parameters) : { seconds: null, low: null };
    row(device).dataset.seconds = predicted.seconds ?? "";
    row(device).querySelector(".time").textContent =
      predicted.seconds === null ? "missing" : `${secondsText(predicted.seconds)} s`;
    row(device).querySelector(".basis").textContent = curve
      ? basis(curve, predicted)
      : `No ${timing} times of the ${protocol} protocol were measured there.`;
    return predicted;
  };
  const update = () => {
    const parameters = Number(field("parameters").value);
    if (!(parameters >= 1)) return;
    const [cpu, gpu] = ["cpu", "gpu"].map((device) => show(device, parameters));
    const longest = Math.max(cpu.seconds ?? 0, gpu.seconds ?? 0);
    for (const [device, predicted] of [["cpu", cpu], ["gpu", gpu]]) {
      row(device).querySelector(".bar").style.width =
        predicted.seconds === null ? "0" : `${(100 * predicted.seconds) / longest}%`;
    }
    part.querySelector(".verdict").textContent = verdict(cpu, gpu);
  };
  field("slider").addEventListener("input", () => {
    field("parameters").value = Number((10 ** field("slider").value).toPrecision(3));
    update();
  });
  field("parameters").addEventListener("input", () => {
    field("slider").value = Math.log10(field("parameters").value || 1);
    update();
  });
  for (const name of ["cpu", "gpu", "protocol", "timing"]) {
    field(name).addEventListener("change", update);
  }
  field("parameters").value = start.parameters;
  field("slider").value = Math.log10(start.parameters);
  part.querySelector("form").hidden = false;
  update();
}

followReading();
document.querySelectorAll(".model").forEach(startModel);
