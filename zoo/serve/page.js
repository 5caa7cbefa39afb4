const $ = id => document.getElementById(id);
const BEAMS = [1, 2, 3, 5, 8, 10, 16, 20, 32, 64], WARMTH = step => 2 ** (step / 2);
const state = {systems: {}, history: [], wanted: null, number: 0};

async function fetched(path, body) {
  const options = body ? {method: "POST", headers: {"Content-Type": "application/json"},
    body: JSON.stringify(body)} : {};
  const response = await fetch(path, options);
  const found = await response.json();
  if (!response.ok) throw new Error(found.error ? found.error.reason : response.statusText);
  return found;
}
function complain(text) {
  $("problem").textContent = text;
  $("problem").hidden = !text;
}
const system = () => state.systems[$("system").value];
const recommends = () => system().asks === "history";
const beam = () => BEAMS[Number($("beam").value)];
const warmth = () => WARMTH(Number($("temperature").value));

function settings() {
  $("beam-value").textContent = beam();
  $("temperature-value").textContent = warmth().toFixed(2).replace(/\.?0+$/, "");
  $("ranks").textContent = `Ranks by: ${system().decoders[$("decoder").value]}.`;
  $("beam").disabled = $("decoder").value === "best-first";
}
function chooseSystem() {
  const chosen = system(), before = $("decoder").value;
  $("text-row").hidden = recommends();
  $("history-row").hidden = !recommends();
  $("decoder").replaceChildren(...Object.keys(chosen.decoders).map(name => new Option(name, name)));
  if (before in chosen.decoders) $("decoder").value = before;
  $("version").textContent = `${chosen.recipe}, ${chosen.documents.toLocaleString("en")} documents, version ${chosen.version}`;
  state.history = [];
  forget();
  $("try").replaceChildren(recommends() ? "or a user:" : "or try:", ...chosen.samples.map(sample => {
    const found = document.createElement("button");
    found.type = "button";
    found.textContent = recommends() ? sample.map(each => each.title).join(", ") : sample;
    found.addEventListener("click", () => {
      if (recommends()) state.history = [...sample]; else $("query").value = sample;
      forget();
      ask(true);
    });
    return found;
  }));
  settings();
}
function forget() {
  state.wanted = null;
  $("wanted").value = "";
  $("history").replaceChildren(...state.history.map((item, place) => {
    const found = document.createElement("li"), button = document.createElement("button");
    button.type = "button";
    button.textContent = `${item.title} ×`;
    button.setAttribute("aria-label", `remove ${item.title}`);
    button.addEventListener("click", () => { state.history.splice(place, 1); forget(); });
    found.append(button);
    return found;
  }));
}
async function ask(animate) {
  const body = {system: $("system").value, decoder: $("decoder").value, beam: beam(),
    temperature: warmth(), wanted: state.wanted};
  if (recommends()) body.history = state.history.map(item => item.id);
  else body.query = $("query").value.trim();
  if (!(body.query || (body.history || []).length)) return;
  const number = ++state.number;
  $("shown").setAttribute("aria-busy", "true");
  try {
    const data = await fetched("/walk", body);
    if (number !== state.number) return; /* a later question is on its way */
    complain("");
    zooWalk($("shown"), data, {animate, wanted: id => { state.wanted = id; name(id); ask(false); }});
  } catch (error) {
    if (number === state.number) complain(error.message);
  } finally {
    if (number === state.number) $("shown").setAttribute("aria-busy", "false");
  }
}
async function name(id) {
  const found = await titles(id);
  const exact = found.find(each => each.id === id);
  $("wanted").value = exact ? exact.title : id;
}
async function titles(text) {
  const path = `/titles?system=${encodeURIComponent($("system").value)}&text=${encodeURIComponent(text)}`;
  return (await fetched(path)).titles;
}
/* An input that completes titles; chosen(document) when one is entered. */
function completes(input, choices, chosen) {
  let known = [], timer = null;
  const pick = text => known.find(each => each.title === text || each.id === text);
  input.addEventListener("input", () => {
    const found = pick(input.value);
    if (found) { chosen(found); return; }
    clearTimeout(timer);
    timer = setTimeout(async () => {
      try {
        known = input.value.trim() ? await titles(input.value) : [];
      } catch (error) { complain(error.message); }
      choices.replaceChildren(...known.map(each => new Option(each.id === each.title ? "" : each.id, each.title)));
    }, 120);
  });
  input.addEventListener("change", async () => {
    if (!input.value.trim()) { chosen(null); return; }
    if (!pick(input.value)) known = await titles(input.value);
    const found = pick(input.value) || known[0];
    if (found) { input.value = found.title; chosen(found); }
  });
}
async function begin() {
  const health = await fetched("/systems");
  for (const each of health.systems) state.systems[each.name] = each;
  $("system").replaceChildren(...health.systems.map(each => new Option(each.name, each.name)));
  if (!health.systems.length) { complain("No system here generates identifiers: there is no tree to show."); return; }
  $("beam").value = BEAMS.indexOf(5);
  $("temperature").value = 0;
  $("system").addEventListener("change", () => { chooseSystem(); $("shown").replaceChildren(); });
  $("ask").addEventListener("submit", event => { event.preventDefault(); ask(true); });
  for (const id of ["beam", "temperature"]) {
    $(id).addEventListener("input", settings);
    $(id).addEventListener("change", () => ask(false));
  }
  $("decoder").addEventListener("change", () => { settings(); ask(false); });
  completes($("wanted"), $("titles"), found => {
    const id = found ? found.id : null;
    if (id !== state.wanted) { state.wanted = id; ask(false); }
  });
  completes($("item"), $("items"), found => {
    if (!found) return;
    state.history.push(found);
    $("item").value = "";
    forget();
  });
  chooseSystem();
}
begin().catch(error => complain(error.message));
