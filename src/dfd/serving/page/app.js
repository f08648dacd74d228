// The page: sends a picture to this server, and shows the card and the heat map that come back. Nothing is kept but in
// memory; only the API key is put into the tab's session storage.

const MOST_SEEN = 30; // pictures in the history: they stay in memory
const TRIES = 6; // a busy server says when to come back
const METHODS = {
  gradcam: "Grad-CAM (quick)",
  gradcampp: "Grad-CAM++ (quick)",
  integrated_gradients: "Integrated gradients",
  occlusion: "Occlusion",
  lime: "LIME (slow)",
  shap: "SHAP (slow)",
};
const VERDICTS = {
  fake: "The detector takes this picture for a fake.",
  real: "The detector takes this picture for a real photograph.",
  unsure: "The detector can't decide on this picture.",
};
const TITLES = { fake: "Fake", real: "Real", unsure: "Unsure" };
const ICONS = { fake: "M12 3 22 21H2Z", real: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18Z", unsure: "M12 2 22 12 12 22 2 12Z" };
const LEVELS = { strong: "The file says so itself", notable: "Worth a look", plain: "" };
const EXTENSIONS = { "image/png": "png", "image/jpeg": "jpg", "image/webp": "webp", "image/gif": "gif" };

const $ = (id) => document.getElementById(id);
const seen = []; // {id, file, url, card, maps: {method: [map]}}
let shown = null;
let asked = 0; // number of the newest request for a heat map: older answers are not shown
let queue = Promise.resolve();

// Elements from text alone: names and texts in files are strangers'.
function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name === "style") Object.assign(node.style, value);
    else if (name.startsWith("aria-") || name === "role" || name === "scope") node.setAttribute(name, value);
    else node[name] = value;
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

function icon(verdict) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  path.setAttribute("d", ICONS[verdict]);
  path.setAttribute("fill", "currentColor");
  svg.append(path);
  return svg;
}

function percent(prob) {
  const value = 100 * prob;
  if (value >= 99.95) return "more than 99.9%";
  if (value < 0.05) return "less than 0.1%";
  return value < 10 || value > 90 ? `${value.toFixed(1)}%` : `${value.toFixed(0)}%`;
}

const chip = (verdict) => el("span", { className: `chip text-${verdict}` }, icon(verdict), TITLES[verdict]);

// --- Asking the server

class Refused extends Error {}

async function ask(path, body) {
  for (let attempt = 1; ; attempt++) {
    const key = sessionStorage.getItem("dfd-key");
    let response;
    try {
      response = await fetch(path, {
        method: body ? "POST" : "GET",
        body,
        headers: key ? { Authorization: `Bearer ${key}` } : {},
      });
    } catch {
      throw new Refused("The server can't be reached. Is it still running?");
    }
    if (response.ok) {
      return response.json().catch(() => {
        throw new Refused("The answer broke off.");
      });
    }
    if (response.status === 401) {
      await askForKey(key !== null);
      continue;
    }
    if (response.status === 503 && attempt < TRIES) {
      const seconds = Number(response.headers.get("Retry-After")) || 1;
      await new Promise((resolve) => setTimeout(resolve, 1000 * seconds * attempt));
      continue;
    }
    const detail = await response.json().then((answer) => answer.detail, () => `status ${response.status}`);
    throw new Refused(detail);
  }
}

function form(file) {
  const data = new FormData();
  data.append("files", file, file.name);
  return data;
}

let keyAsked = null;
function askForKey(wrong) {
  keyAsked ??= new Promise((resolve) => {
    $("key-wrong").hidden = !wrong;
    $("key").showModal();
    $("key").addEventListener("close", () => {
      sessionStorage.setItem("dfd-key", $("key-field").value.trim());
      $("key-field").value = "";
      keyAsked = null;
      resolve();
    }, { once: true });
  });
  return keyAsked;
}
$("key").addEventListener("cancel", (event) => event.preventDefault()); // there is nothing to do without it

// --- A picture

function take(files) {
  const named = [...files].map((file) =>
    file.name ? file : new File([file], `pasted.${EXTENSIONS[file.type] ?? "img"}`, { type: file.type }));
  for (const file of named) queue = queue.then(() => look(file));
}

async function look(file) {
  $("problem").hidden = true;
  say(`Looking at ${file.name} …`, true);
  try {
    const card = await ask("v1/card", form(file));
    const one = { file, url: URL.createObjectURL(file), card, maps: {} };
    seen.unshift(one);
    for (const old of seen.splice(MOST_SEEN)) URL.revokeObjectURL(old.url);
    say(`${file.name}: ${TITLES[card.verdict]}, probability of a fake ${percent(card.score.prob)}.`);
    show(one);
    $("verdict").focus({ preventScroll: true });
    $("result").scrollIntoView({ behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    say("");
    $("problem").replaceChildren(el("b", { textContent: file.name }), `: ${error.message}`);
    $("problem").hidden = false;
  }
}

function say(text, busy = false) {
  $("status").textContent = text;
  $("status").classList.toggle("busy", busy);
  $("drop").setAttribute("aria-busy", busy);
}

function show(one) {
  shown = one;
  const { card, file, url } = one;
  $("result").hidden = false;
  $("picture").src = url;
  $("picture").alt = `The picture ${file.name}`;
  $("picture").hidden = false;
  $("no-preview").hidden = true;
  $("name").textContent = file.name;
  const verdict = el("span", {}, TITLES[card.verdict]);
  $("verdict").className = `text-${card.verdict}`;
  $("verdict").replaceChildren(icon(card.verdict), verdict);
  $("meaning").textContent = `${VERDICTS[card.verdict]} Probability of a fake: ${percent(card.score.prob)}.`;
  $("scale").replaceChildren(scale(card));
  $("reasons").replaceChildren(...card.reasons.map((text) => el("li", {}, text)));
  $("words").replaceChildren(...card.words.map((text) => el("li", {}, text)));
  showTable($("stability"), ["Copy", "Probability", "", "Verdict"], card.stability.copies, (copy) => copy.words);
  $("members").hidden = card.members.length === 0;
  showTable($("members").querySelector(".wide"), ["Detector", "Probability", "", "Verdict"], card.members, (member) => member.name);
  showEvidence(card);
  showSeen();
  showHeat();
}

function scale(card) {
  const { prob, unsure_low: low, unsure_high: high } = card.score;
  const { lowest, highest } = card.stability;
  const zone = (kind, from, to) => el("span", { className: `is-${kind}`, style: { width: `${100 * (to - from)}%` } });
  const words = `Probability of a fake ${percent(prob)}. Below ${percent(low)} is real, from ${percent(high)} is fake, ` +
    `between is unsure. Copies of the picture get ${percent(lowest)} to ${percent(highest)}.`;
  return el("div", { className: "scale", role: "img", "aria-label": words },
    el("div", { className: "zones" }, zone("real", 0, low), zone("unsure", low, high), zone("fake", high, 1)),
    el("div", { className: "over-zones" },
      el("i", { className: "copies", title: "range of the copies", style: { left: `${100 * lowest}%`, width: `${100 * (highest - lowest)}%` } }),
      el("i", { className: "mark", style: { left: `${100 * prob}%` } })),
    el("div", { className: "ends" },
      el("span", {}, `real below ${percent(low)}`),
      high > low ? el("span", {}, "unsure between") : null,
      el("span", {}, `fake from ${percent(high)}`)));
}

function showTable(place, titles, rows, name) {
  const head = el("tr", {}, ...titles.map((title) => title ? el("th", { scope: "col" }, title) : el("td", { className: "bar" })));
  const body = rows.map((row) => el("tr", {},
    el("th", { scope: "row" }, name(row)),
    el("td", { className: "num" }, percent(row.prob)),
    el("td", { className: "bar" }, el("div", { className: "small-bar", "aria-hidden": "true" },
      el("i", { className: `is-${row.verdict}`, style: { width: `${100 * row.prob}%` } }))),
    el("td", {}, chip(row.verdict))));
  place.replaceChildren(el("table", {}, el("thead", {}, head), el("tbody", {}, ...body)));
}

function showEvidence(card) {
  const { findings, failed } = card.evidence;
  const unread = failed.map((reason) => ({ level: "notable", words: `A part of the file could not be read: ${reason}` }));
  const strong = findings.filter(({ level }) => level === "strong");
  $("evidence").replaceChildren(...[...findings, ...unread].map(({ level, words }) =>
    el("li", { className: level }, LEVELS[level] ? el("b", {}, LEVELS[level]) : null, words)));
  $("notice").hidden = strong.length === 0;
  $("notice").replaceChildren(el("b", {}, "The file itself says how it was made. "),
    ...strong.map(({ words }) => el("span", {}, `${words} `)), "This does not enter the verdict, which comes from the pixels alone.");
  const { file } = card;
  const facts = {
    Format: file.format,
    Size: `${file.width} × ${file.height} pixels, ${file.bytes.toLocaleString("en")} bytes`,
    "SHA-256": file.sha256,
    Detector: `${card.bundle.name} (${card.bundle.sha256.slice(0, 12)})`,
  };
  $("facts").replaceChildren(...Object.entries(facts).flatMap(([name, text]) =>
    [el("dt", {}, name), el("dd", { className: name === "SHA-256" ? "mono" : "" }, text)]));
}

function showSeen() {
  $("history").hidden = seen.length < 2;
  $("seen").replaceChildren(...seen.map((one) => {
    const button = el("button", { type: "button", "aria-current": String(one === shown) },
      el("img", { src: one.url, alt: "" }),
      el("span", { className: "name", title: one.file.name }, one.file.name),
      chip(one.card.verdict));
    button.addEventListener("click", () => {
      show(one);
      $("verdict").focus();
    });
    return el("li", {}, button);
  }));
}

// --- The heat map

async function showHeat() {
  const one = shown, method = $("method").value, number = ++asked;
  $("heat").hidden = true;
  if (!method) {
    $("heat-status").textContent = "";
    return;
  }
  if (!one.maps[method]) {
    $("heat-status").textContent = "Making the heat map …";
    try {
      one.maps[method] = (await ask(`v1/explain?method=${method}`, form(one.file))).maps;
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      if (number === asked) $("heat-status").textContent = `No heat map: ${error.message}`;
      return;
    }
  }
  if (number !== asked) return;
  const maps = one.maps[method];
  const before = $("network").value;
  $("network-row").hidden = maps.length < 2;
  $("network").replaceChildren(...maps.map((map, place) =>
    el("option", { value: map.name }, place === 0 ? "all together" : `${map.name} (${percent(map.share)} of it)`)));
  if (maps.some((map) => map.name === before)) $("network").value = before;
  lay(maps);
  $("heat-status").textContent = "Heat map ready. It shows what moved the score, and proves nothing by itself.";
}

function lay(maps) {
  const map = maps.find((each) => each.name === $("network").value) ?? maps[0];
  $("heat").src = `data:image/png;base64,${map.png}`;
  $("heat").style.opacity = $("opacity").value / 100;
  $("heat").hidden = $("picture").hidden;
}

$("method").addEventListener("change", showHeat);
$("network").addEventListener("change", () => lay(shown.maps[$("method").value]));
$("opacity").addEventListener("input", () => { $("heat").style.opacity = $("opacity").value / 100; });
$("picture").addEventListener("error", () => {
  $("picture").hidden = $("heat").hidden = true;
  $("no-preview").hidden = false;
});

$("save").addEventListener("click", () => {
  const url = URL.createObjectURL(new Blob([JSON.stringify(shown.card, null, 2)], { type: "application/json" }));
  el("a", { href: url, download: `${shown.file.name}.card.json` }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
});

// --- Ways in

$("file").addEventListener("change", () => {
  take($("file").files);
  $("file").value = ""; // so that the same file can be chosen again
});
$("drop").addEventListener("submit", (event) => event.preventDefault());
document.addEventListener("paste", (event) => {
  const files = event.clipboardData?.files ?? [];
  if (files.length) {
    event.preventDefault();
    take(files);
  }
});
for (const kind of ["dragenter", "dragover"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    $("drop").classList.add("over");
  });
}
for (const kind of ["dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    if (kind === "drop" || !event.relatedTarget) $("drop").classList.remove("over");
  });
}
document.addEventListener("drop", (event) => {
  const files = event.dataTransfer?.files ?? [];
  if (files.length) take(files);
  else {
    $("problem").textContent = "That was no file. Addresses are not fetched: save the picture first, then drop the file.";
    $("problem").hidden = false;
  }
});

// --- Start

const about = await ask("v1/bundle").catch((error) => {
  $("problem").textContent = error.message;
  $("problem").hidden = false;
  return null;
});
if (about) {
  $("served").textContent = `${about.name}, ${about.members.length ? `${about.members.length} detectors` : "one detector"}`;
  $("limits").textContent = `Up to ${(about.limits.max_bytes / 1e6).toFixed(0)} MB.`;
  $("method").replaceChildren(
    ...about.methods.map((method) => el("option", { value: method }, METHODS[method] ?? method)),
    el("option", { value: "" }, "none"));
}
