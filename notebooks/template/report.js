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
  // On a phone the list covers the page, and closes when its reader has chosen.
  document.querySelector(".small nav")?.addEventListener("click", (event) => {
    if (event.target.closest("a")) event.currentTarget.closest("details").open = false;
  });
  addEventListener("scroll", mark, { passive: true });
  mark();
}

/** Open the folded parts that hold what an address or a link points to, and all of them to print. */
function unfold() {
  const open = (hash) => {
    let part = hash && document.getElementById(decodeURIComponent(hash.slice(1)));
    for (; part; part = part.parentElement?.closest("details")) part.closest("details.fold")?.setAttribute("open", "");
  };
  addEventListener("hashchange", () => open(location.hash));
  addEventListener("beforeprint", () =>
    document.querySelectorAll("details.fold").forEach((part) => { part.open = true; }));
  open(location.hash);
}

const MOST = 1e12;  // Parameters, as for `make predict`.
// The figures' markers.
const SYMBOLS = { CPU: "●", GPU: "■" };

/** A factor with three digits, such as 1.02, 13.4 or 1,340: the twin of text.times. */
function times(factor) {
  return factor >= 99.95 ? Math.round(factor).toLocaleString("en") : factor.toPrecision(3);
}

/** Interpolate two values linearly in logarithms, or the one; null where one is unknown. */
function between(share, pair) {
  if (pair.includes(null)) return null;
  const [low, high] = pair.map(Math.log);
  return Math.exp(pair.length === 1 ? low : low + share * (high - low));
}

/** Seconds beyond the measured sizes with their 95% prediction interval. */
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
  const unknown = { seconds: null, low: null, high: null, source: "unknown", sure: false };
  if (!curve || !(parameters >= 1)) return unknown;
  const sizes = curve.parameters;
  if (parameters < sizes[0] || parameters > sizes.at(-1)) {
    if (!curve.model) return unknown;
    return { ...extrapolate(curve.model, parameters), source: "extrapolated", sure: false };
  }
  const right = sizes.findIndex((size) => size >= parameters);
  const left = sizes[right] === parameters ? right : right - 1;
  const share = Math.log(parameters / sizes[left]) / Math.log(sizes[right] / sizes[left]);
  const near = (name) => curve[name].slice(left, right + 1);
  const at = (name) => between(share, near(name));
  const kinds = near("interval");
  const kind = [...new Set(kinds)].map((name) => `${name}s`).join(" and ");
  const limits = { low: at("low"), high: at("high") };
  const sure = kinds.every((name) => name.endsWith("interval"));
  const flags = near("flags").map((told, nth) => told && `${told} at ${sizes[left + nth].toLocaleString("en")} parameters`);
  return { seconds: at("seconds"), ...limits, source: "interpolated", kind, sure, flags: flags.filter(Boolean).join("; ") };
}

/** Who wins by a crossover's rule at a size: the twin of verdict.Rule.winner. */
function ruled(rule, parameters, ratio) {
  const sure = parameters <= (rule.cpu_until ?? 0) || parameters >= (rule.gpu_from ?? Infinity);
  if (rule.low !== null && rule.low <= parameters && parameters <= rule.high && !sure) return "either";
  const told = ratio > 1 ? "GPU" : "CPU";
  const always = { "gpu always faster": "GPU", "cpu always faster": "CPU" };
  const expected = rule.status === "crossed"
    ? (parameters < (rule.low ?? rule.estimate) ? "CPU" : "GPU")
    : always[rule.status] ?? told;
  return told === expected ? told : "either";
}

/** Who is faster, by which factor, and whether that is sure: the twin of verdict.verdict. */
function verdict(cpu, gpu, rule, parameters) {
  if (cpu.seconds === null || gpu.seconds === null) return { winner: "unknown" };
  const ratio = cpu.seconds / gpu.seconds;
  const factor = Math.max(ratio, 1 / ratio);
  const ends = ({ seconds, low, high }) => [low ?? seconds, high ?? seconds];
  const [ofCpu, ofGpu] = [ends(cpu), ends(gpu)];
  let winner = ratio > 1 ? "GPU" : "CPU";
  if (rule && cpu.source === "interpolated" && gpu.source === "interpolated") {
    winner = ruled(rule, parameters, ratio);
  } else if (ofCpu[0] <= ofGpu[1] && ofGpu[0] <= ofCpu[1]) winner = "either";
  return { winner: factor < 1.005 ? "either" : winner, factor, about: !(cpu.sure && gpu.sure) };
}

/** A verdict in a sentence: the twin of text.verdict_sentence. */
function sentence({ winner, factor, about }) {
  const near = about ? "about " : "";
  if (winner === "unknown") return "No verdict: a time is missing.";
  if (winner === "either") return "Too close to call: either may be faster.";
  return `${SYMBOLS[winner]} The ${winner} is ${near}${times(factor)} times as fast.`;
}

/** What a training costs at a price: the twin of verdict.Prediction.priced. */
function priced(predicted, price) {
  const at = (time) => (time === null ? null : time * price);
  return { ...predicted, seconds: at(predicted.seconds), low: at(predicted.low), high: at(predicted.high) };
}

/** A verdict on costs in a sentence: the twin of text.cost_sentence. */
function costSentence({ winner, factor, about }) {
  if (winner === "unknown") return "No cost: a time is missing.";
  if (winner === "either") return "Cost is too close to call: either may be cheaper.";
  return `${SYMBOLS[winner]} The ${winner} is cheaper: a training costs ${about ? "about " : ""}` +
    `${times(factor)} times as much on the ${winner === "CPU" ? "GPU" : "CPU"}.`;
}

/** Two digits of a limit, towards Math.floor or Math.ceil: the twin of crossing.outwards. */
function twoDigits(value, towards) {
  const unit = 10 ** (value.toFixed(0).length - 2);
  return unit * towards(Number((value / unit).toFixed(6)));
}

/** Linear interpolation between ascending places: the twin of numpy.interp. */
function interpolated(at, places, values) {
  const right = places.findIndex((place) => place >= at);
  if (right <= 0) return values.at(right);
  const share = (at - places[right - 1]) / (places[right] - places[right - 1]);
  return values[right - 1] + share * (values[right] - values[right - 1]);
}

/** Where the GPU is cheaper, its hour at so many of the CPU's: the twin of verdict.cheaper's rule. */
function cheaper({ parameters, medians, log_parameters: grid, lower, upper, repeats }, priceRatio) {
  const less = Math.log(priceRatio);
  const winners = grid.map((_, at) => (upper[at] < less ? -1 : lower[at] > less ? 1 : 0));
  const turns = winners.filter((one) => one !== 0).filter((one, at, all) => one !== all[at - 1]);
  const rule = (status, count, { estimate = null, low = null, high = null, cpu_until = null, gpu_from = null, reason = "" }) => ({
    status, estimate, reason, cpu_until, gpu_from, about: count < 5, single: count < 2,
    low: count < 2 || low === null ? null : twoDigits(low, Math.floor),
    high: count < 2 || high === null ? null : twoDigits(high, Math.ceil),
  });
  const turn = (sure, open) => {
    const [at, beyond] = [sure, open].map((point) => (upper[sure] < less ? upper : lower)[point] - less);
    return Math.exp(grid[sure] + at / (at - beyond) * (grid[open] - grid[sure]));
  };
  const ratio = medians.map((median) => median - less);
  const rising = ratio.flatMap((one, at) => (one < 0 && ratio[at + 1] >= 0 ? [at] : []));
  if (turns.length === 2 && turns[0] < 0 && rising.length) {
    const [last, first] = [winners.lastIndexOf(-1), winners.indexOf(1)];
    const [low, high] = [turn(last, last + 1), turn(first, first - 1)];
    const crossings = rising.map((at) => Math.exp(interpolated(
      0, ratio.slice(at, at + 2), parameters.slice(at, at + 2).map(Math.log))));
    const off = crossings.map((one) => Math.abs(Math.log(one ** 2 / (low * high))));
    const nearest = off.indexOf(Math.min(...off));
    const estimate = crossings[nearest];
    const count = Math.min(repeats[last], repeats[first]);
    const sure = (winner, inside) => parameters.filter((size) => grid.some((place, at) =>
      winners[at] === winner && inside(at) && Math.abs(Math.log(size) - place) < 1e-8));
    const cpu_until = sure(-1, (at) => at <= last).at(-1) ?? null;
    const gpu_from = sure(1, (at) => at >= first)[0] ?? null;
    return rule("crossed", count, {
      estimate,
      low: Math.max(Math.min(low, estimate), cpu_until ?? 0),
      high: Math.min(Math.max(high, estimate), gpu_from ?? Infinity),
      cpu_until,
      gpu_from,
    });
  }
  const ends = [grid[0], grid.at(-1)].map(Math.exp);
  if (turns.length === 1 && !winners.includes(0)) {
    const [from, to] = ends.map((end) => Math.round(end).toLocaleString("en"));
    const reason = from === to ? `at the one size of ${from} parameters` : `at all sizes from ${from} to ${to} parameters`;
    return rule(turns[0] > 0 ? "gpu always faster" : "cpu always faster", Math.min(...repeats), { reason });
  }
  const changes = winners.flatMap((one, at) => (at && one !== winners[at - 1] ? [at] : []));
  const low = winners[0] ? turn(changes[0] - 1, changes[0]) : ends[0];
  const high = winners.at(-1) ? turn(changes.at(-1), changes.at(-1) - 1) : ends[1];
  return rule("unresolved", Math.max(...repeats), { low, high, reason: openReason(turns, winners, low, high) });
}

/** Why it is open which device is cheaper: the twin of crossing._reason, of costs. */
function openReason(turns, winners, low, high) {
  if (!turns.length) return "the devices' costs overlap at every width";
  if (turns.length > 2) return `the devices change places ${turns.length - 1} times`;
  if (turns.length === 2 && turns[0] > 0) return "the GPU wins for small models and the CPU for large ones";
  const [least, most] = [twoDigits(low, Math.floor), twoDigits(high, Math.ceil)].map((end) => end.toLocaleString("en"));
  const name = (winner) => (winner < 0 ? "CPU" : "GPU");
  const sure = [[winners[0], "below"], [winners.at(-1), "above"]].filter(([winner]) => winner)
    .map(([winner, where]) => `the ${name(winner)} is cheaper ${where}`).join(" and ");
  return `from ${least} parameters${winners[0] ? "" : " or fewer"} to ${most}${winners.at(-1) ? "" : " or more"} ` +
    `the devices cannot be told apart; ${sure || `the ${name(turns[0])} is cheaper at some sizes between`}`;
}

/** From which size on the GPU is cheaper, in words: the twin of rule.rule_words, of costs. */
function cheaperWords({ status, estimate, low, high, reason, about, single }) {
  const near = about ? "about " : "";
  const [from, to] = [low, high].map((end) => end?.toLocaleString("en"));
  if (status === "crossed") {
    if (low !== null) return `Below ${near}${from} parameters the CPU is cheaper, above ${near}${to} the GPU; between them either`;
    return `Below about ${Number(estimate.toPrecision(2)).toLocaleString("en")} parameters the CPU is cheaper, above it the GPU, as single trainings tell`;
  }
  if (status !== "unresolved") return `The ${status.slice(0, 3).toUpperCase()} is cheaper${single ? ", as single trainings tell," : ""} ${reason}`;
  const open = ["from ", "the devices' "].some((start) => reason.startsWith(start));
  const words = open ? `Too close to call: ${reason}` : reason[0].toUpperCase() + reason.slice(1);
  return single ? `${words}, as single trainings tell` : words;
}

/** The break-even of a size with its limits: the twin of verdict.break_even. */
function breakEven(cpu, gpu, ratio, parameters) {
  if (cpu.seconds === null || gpu.seconds === null) return null;
  const even = cpu.seconds / gpu.seconds;
  const told = { even, low: null, high: null, about: !(cpu.sure && gpu.sure) };
  if (ratio && ratio.parameters[0] <= parameters && parameters <= ratio.parameters.at(-1)) {
    if (Math.max(...ratio.repeats) < 2) return told;
    const [at, grid] = [Math.log(parameters), ratio.log_parameters];
    const [lower, upper] = [ratio.lower, ratio.upper].map((edge) =>
      [interpolated(at, grid, edge), ...edge.filter((_, point) => Math.abs(grid[point] - at) < 1e-8)]);
    return { ...told, low: Math.min(Math.exp(Math.min(...lower)), even), high: Math.max(Math.exp(Math.max(...upper)), even) };
  }
  if (cpu.low === null || gpu.low === null) return told;
  return { ...told, low: cpu.low / gpu.high, high: cpu.high / gpu.low };
}

/** A break-even in a sentence: the twin of text.break_even_sentence. */
function breakEvenSentence(told) {
  if (!told) return "";
  const limits = told.low === null ? "" : ` (${times(told.low)} to ${times(told.high)})`;
  return `Break-even at this size: an hour of the GPU at ${told.about ? "about " : ""}${times(told.even)} times an hour of the CPU${limits}.`;
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
      `95% prediction interval ${limits}.`;
  }
  return "Interpolated between measured medians" +
    (predicted.low === null ? "; single trainings, so no interval." : `; their ${predicted.kind}, likewise, ${limits}.`) +
    (predicted.flags ? ` ⚑ ${predicted.flags}.` : "");
}

/** Fill a select with values under their names; text stays text. */
function fill(select, values, chosen, names = {}) {
  const unique = [...new Set(values)];
  for (const value of unique) {
    const name = names[value] ?? value;
    const alone = unique.filter((other) => names[other] === name).length < 2;
    select.add(new Option(alone ? name : `${name}, ${value}`, value, false, value === chosen));
  }
}

/** The chart in the form: the picture of a protocol and timing, and the size marked on it. */
class Chart {
  constructor(plot, slider, first) {
    this.charts = [...document.querySelectorAll("figure[data-chart]")]
      .map((figure) => ({ ...JSON.parse(figure.dataset.chart), picture: figure.querySelector("picture").cloneNode(true) }));
    [this.plot, this.slider, this.phone] = [plot, slider, matchMedia("(max-width: 600px)")];
    this.marks = ["line", "cpu", "gpu"].map((name) => {
      const mark = document.createElement("span");
      mark.className = `mark ${name}`;
      return mark;
    });
    document.querySelector("figure[data-chart]")?.remove();
    this.choose(first);
  }

  /** Show the picture of a protocol and timing, where there is one. */
  choose({ protocol, timing }) {
    this.chart = this.charts.find((one) => one.protocol === protocol && one.timing === timing);
    this.plot.replaceChildren(...(this.chart ? [this.chart.picture, ...this.marks] : []));
  }

  /** Where the axes lie in the picture that is seen, and their limits in logarithms. */
  get place() {
    return this.chart[this.phone.matches ? "narrow" : "wide"];
  }

  /** The size under a place across the page. */
  sizeAt(across) {
    const { box: [left, , right], limits: [low, high] } = this.place;
    const frame = this.plot.getBoundingClientRect();
    const share = ((across - frame.left) / frame.width - left) / (right - left);
    return 10 ** (low + Math.min(1, Math.max(0, share)) * (high - low));
  }

  /** Mark a size and both times; what lies outside the picture is not marked. */
  mark(parameters, seconds) {
    if (!this.chart) return;
    if (!(parameters >= 1)) {
      this.marks.forEach((mark) => { mark.hidden = true; });
      return;
    }
    const { box: [left, bottom, right, top], limits: [low, high, floor, ceiling] } = this.place;
    const share = (Math.log10(parameters) - low) / (high - low);
    const across = left + share * (right - left);
    const inside = share > -0.005 && share < 1.005;  // A size is rounded to three digits.
    const put = (mark, up) => {
      mark.hidden = !inside || !(up >= 0 && up <= 1);
      mark.style.left = `${100 * across}%`;
      mark.style.top = `${100 * (1 - (bottom + up * (top - bottom)))}%`;
    };
    const [line, ...dots] = this.marks;
    put(line, 1);
    line.style.height = `${100 * (top - bottom)}%`;
    dots.forEach((dot, at) => put(dot, (Math.log10(seconds[at] ?? NaN) - floor) / (ceiling - floor)));
    // A thumb of 16 pixels, whose middle goes from end to end of the axis.
    this.slider.style.marginLeft = `calc(${100 * left}% - 8px)`;
    this.slider.style.width = `calc(${100 * (right - left)}% + 16px)`;
    [this.slider.min, this.slider.max] = [low, high];
    this.slider.value = Math.log10(parameters);
  }
}

/** Bring the form to life: its choices, the size on the chart, both times and the verdict. */
function startModel(part) {
  const { curves, rules, names, start, prices } = JSON.parse(part.querySelector("script").textContent);
  const field = (name) => part.querySelector(`[name="${name}"]`);
  const row = (device) => part.querySelector(`[data-device="${device}"]`);
  for (const device of ["cpu", "gpu"]) {
    const machines = curves.filter((curve) => curve.device === device).map((c) => c.machine);
    fill(field(device), machines, start[device], names[device]);
  }
  fill(field("protocol"), curves.map((curve) => curve.protocol), start.protocol);
  fill(field("timing"), curves.map((curve) => curve.timing), start.timing);
  const chart = new Chart(part.querySelector(".plot"), field("slider"), start);

  const chosen = () => Object.fromEntries(
    ["cpu", "gpu", "protocol", "timing"].map((name) => [name, field(name).value]));
  const show = (device, parameters) => {
    const { protocol, timing, ...machines } = chosen();
    const curve = curves.find((c) => c.machine === machines[device] && c.device === device &&
      c.protocol === protocol && c.timing === timing);
    const predicted = predict(curve, parameters);
    row(device).dataset.seconds = predicted.seconds ?? "";
    row(device).querySelector(".time").textContent =
      predicted.seconds === null ? "missing" : `${secondsText(predicted.seconds)} s`;
    row(device).hidden = Number.isNaN(parameters);
    row(device).querySelector(".basis").textContent = curve
      ? basis(curve, predicted)
      : `No ${timing} times of the ${protocol} protocol were measured there.`;
    return predicted;
  };
  // The size that is dragged moves neither the prices nor the rule of costs.
  let last = {};
  const cheaperRule = (rule, priceRatio) => {
    if (last.rule !== rule || last.priceRatio !== priceRatio) {
      last = { rule, priceRatio, cheaper: rule && cheaper(rule.ratio, priceRatio) };
    }
    return last.cheaper;
  };
  const costs = (cpu, gpu, rule, parameters) => {
    const even = breakEvenSentence(breakEven(cpu, gpu, rule?.ratio, parameters));
    const inputs = ["cpu", "gpu"].map((device) => field(`${device}_price`));
    if (!inputs.every((input) => input.validity.valid)) {
      return `A price is a number from 0.000001 to 999,999,999. ${even}`;
    }
    const [cpuPrice, gpuPrice] = inputs.map((input) => Number(input.value));
    if (!cpuPrice || !gpuPrice) return `${cpuPrice || gpuPrice ? "Give both prices to compare costs. " : ""}${even}`;
    const priceRatio = gpuPrice / cpuPrice;
    const turned = cheaperRule(rule, priceRatio);
    const told = costSentence(verdict(cpu, priced(gpu, priceRatio), turned, parameters));
    const measured = cpu.source === "interpolated" && gpu.source === "interpolated";
    const where = measured ? "At these prices" : "At these prices, among the measured sizes";
    return [told, turned ? `${where}: ${cheaperWords(turned)}.` : "", even].filter(Boolean).join(" ");
  };
  const update = () => {
    const typed = Number(field("parameters").value);
    const parameters = typed >= 1 && typed <= MOST ? typed : NaN;
    const asked = chosen();
    const [cpu, gpu] = ["cpu", "gpu"].map((device) => show(device, parameters));
    const rule = rules.find((one) => Object.keys(asked).every((name) => one[name] === asked[name]));
    const told = parameters >= 1 ? sentence(verdict(cpu, gpu, rule, parameters)) : "Give a number of parameters.";
    part.querySelector(".verdict").textContent = told;
    part.querySelector(".cost").textContent = parameters >= 1 ? costs(cpu, gpu, rule, parameters) : "";
    chart.mark(parameters, [cpu.seconds, gpu.seconds]);
    part.querySelector(".other").hidden = asked.cpu === start.cpu && asked.gpu === start.gpu;
    field("slider").setAttribute("aria-valuetext", `${parameters.toLocaleString("en")} parameters: ${told}`);
  };
  const ask = (parameters) => {
    field("parameters").value = Number(parameters.toPrecision(3));
    update();
  };
  field("slider").addEventListener("input", () => ask(10 ** field("slider").value));
  for (const name of ["parameters", "cpu_price", "gpu_price"]) field(name).addEventListener("input", update);
  for (const name of ["cpu", "gpu", "protocol", "timing"]) {
    field(name).addEventListener("change", () => { chart.choose(chosen()); update(); });
  }
  for (const name of ["pointerdown", "pointermove"]) {
    chart.plot.addEventListener(name, (event) => { if (event.buttons & 1) ask(chart.sizeAt(event.clientX)); });
  }
  chart.phone.addEventListener("change", update);
  field("parameters").value = start.parameters;
  for (const device of ["cpu", "gpu"]) field(`${device}_price`).value = prices[device] ?? "";
  part.querySelector("form").hidden = false;
  part.querySelector("details").open = false;
  update();
}

followReading();
unfold();
document.querySelectorAll(".model").forEach(startModel);
