"use strict";
/* zooWalk(element, data, {wanted, animate}): shows what zoo/report/walks.py returns.
   wanted(id): called when a document of the lists is chosen; without it they are plain text. */
const zooWalk = (() => {
  const KEPT = 9, PRUNED = 4; /* shown of a level before "more" */
  const PACE = 650; /* milliseconds between two levels */
  const make = (tag, text, kind, ...children) => {
    const found = document.createElement(tag);
    if (kind) found.className = kind;
    if (text !== null && text !== undefined) found.textContent = text;
    found.append(...children);
    return found;
  };
  const percent = p => p >= 0.9995 ? "100 %" : p >= 0.01 ? `${(100 * p).toFixed(p >= 0.1 ? 0 : 1)} %`
    : p >= 0.0001 ? `${(100 * p).toFixed(2)} %` : p > 0 ? "< 0.01 %" : "0";
  const count = (n, one) => `${n.toLocaleString("en")} ${one}${n === 1 ? "" : "s"}`;
  const ordinal = n => n.toLocaleString("en") + (n % 100 > 10 && n % 100 < 14 ? "th" : ["th", "st", "nd", "rd"][n % 10] || "th");
  const nats = n => `${Math.abs(n) < 0.005 ? "0.00" : Math.abs(n).toFixed(2)} nats`;
  const title = node => node.name || node.titles[0] || "a branch";

  /* Nodes to show of each level, in an order in which no two lines cross. */
  function chosen(data, all) {
    let before = null;
    return data.levels.map((level, depth) => {
      const nodes = level.nodes.map((node, at) => ({...node, at}));
      const kept = nodes.filter(node => node.kept), pruned = nodes.filter(node => !node.kept);
      const few = all.has(depth) ? nodes
        : [...kept.slice(0, KEPT), ...pruned.slice(0, PRUNED),
           ...nodes.filter(node => node.wanted)];
      /* a shown child needs its parent, and an answer its way */
      const shown = [...new Map(few.map(node => [node.at, node])).values()]
        .filter(node => before === null || before.has(node.parent));
      const rank = node => before === null ? 0 : before.get(node.parent);
      shown.sort((a, b) => rank(a) - rank(b) || a.at - b.at);
      before = new Map(shown.map((node, place) => [node.at, place]));
      return {shown, left: nodes.length - shown.length, kept: kept.length, total: level.children};
    });
  }

  function sentence(data) {
    const told = make("p", null, "told");
    told.setAttribute("role", "status");
    const found = data.answers.length ? data.answers[0] : null;
    told.append(found ? "The first answer is " : "The beam reached no document.");
    if (found) told.append(make("b", found.title), `, with probability ${percent(found.probability)}. `);
    if (data.exact) {
      const ids = new Set(data.answers.map(each => each.id));
      const both = data.exact.filter(each => ids.has(each.id)).length;
      told.append(`The search found ${both} of the model's ${data.exact.length} most probable documents. `);
    }
    const wanted = data.wanted;
    if (wanted) {
      told.append(make("span", wanted.title, "want"));
      const by = wanted.exact_rank ? `, ${ordinal(wanted.exact_rank)} by the model,` : "";
      if (!wanted.died) told.append(`${by} is found.`);
      else {
        const {step, rank, nats: below} = wanted.died;
        const why = data.decoder === "best-first" ? "it is not among the top"
          : `its branch was ${ordinal(rank)} of those that the beam ranks, ${nats(below)} below the last that is kept`;
        told.append(`${by} is lost at step ${step}: ${why}.`);
      }
    }
    return told;
  }

  function card(node, data, depth, parents) {
    const wanted = Boolean(data.wanted) && node.wanted;
    const found = make("button", null, `node ${node.kept ? "kept" : "pruned"}${wanted ? " want" : ""}`);
    found.type = "button";
    found.setAttribute("aria-expanded", "false");
    const sign = (wanted ? "★ " : "") + (node.kept ? "" : "✕ ");
    const facts = make("span", null, "facts",
      make("span", percent(node.step)),
      make("span", node.kept ? (node.documents === 1 ? "document" : count(node.documents, "document"))
        : `${nats(node.margin)} short`));
    const bar = make("span", null, "bar", make("i"));
    bar.firstChild.style.width = `${Math.max(1, 100 * node.step)}%`;
    const more = make("span", null, "more-of",
      make("span", `token ${node.token}, ${percent(node.probability)} so far`),
      make("span", node.kept ? `kept, ${nats(node.margin)} above the last` : `pruned, ${nats(node.margin)} below the last that is kept`),
      ...node.titles.map(each => make("em", each)).map(each => make("span", null, "", each)));
    const parent = depth ? parents.find(each => each.at === node.parent) : null;
    const from = parent ? [make("span", `below ${title(parent)}`, "from")] : [];
    found.append(...from, make("span", sign + title(node), "name"), facts, bar, more);
    found.title = node.titles.join("\n");
    found.setAttribute("aria-label", `${title(node)}: ${percent(node.step)} of its parent, `
      + `${count(node.documents, "document")}, ${node.kept ? "kept" : "pruned by " + nats(node.margin)}`
      + (wanted ? ", on the way to the wanted document" : ""));
    return found;
  }

  function edges(stage, columns, cards, data) {
    const space = stage.getBoundingClientRect(), svg = stage.querySelector("svg");
    svg.replaceChildren();
    const draw = (from, to, node, later) => {
      const a = from.getBoundingClientRect(), b = to.getBoundingClientRect();
      const x0 = a.right - space.left + stage.scrollLeft, x1 = b.left - space.left + stage.scrollLeft;
      const y0 = a.top + Math.min(a.height, 46) / 2 - space.top;
      const y1 = b.top + Math.min(b.height, 46) / 2 - space.top;
      const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
      path.setAttribute("d", `M${x0},${y0} C${x0 + 28},${y0} ${x1 - 28},${y1} ${x1},${y1}`);
      path.setAttribute("stroke-width", node.kept ? 1.2 + 6 * Math.sqrt(node.probability) : 1.2);
      path.setAttribute("class", `${node.kept ? "kept" : "pruned"}${data.wanted && node.wanted ? " want" : ""}${later ? " hidden" : ""}`);
      svg.append(path);
    };
    columns.forEach((column, depth) => column.shown.forEach(node => {
      const from = depth ? cards[depth - 1].get(node.parent) : stage.querySelector(".root .node");
      const to = cards[depth].get(node.at);
      if (from && to) draw(from, to, node, to.closest(".level").classList.contains("later"));
    }));
  }

  function list(heading, documents, others, data, options, missing) {
    const items = documents.map((each, place) => {
      const there = others ? others.findIndex(other => other.id === each.id) : -1;
      const name = options.wanted ? make("button", each.title) : make("span", each.title);
      if (options.wanted) {
        name.type = "button";
        name.title = "follow this document";
        name.addEventListener("click", () => options.wanted(each.id));
      }
      const lost = others && there < 0;
      const note = others ? make("em", lost ? missing : there === place ? "" : `${ordinal(there + 1)} there`) : "";
      const item = make("li", null, `${lost ? "missed" : ""}${data.wanted && data.wanted.id === each.id ? " want" : ""}`,
        make("b", `${place + 1}`), make("span", null, "", name, " ", note), make("small", percent(each.probability)));
      return item;
    });
    return make("section", null, "", make("h3", heading),
      items.length ? make("ol", null, "", ...items) : make("p", "none"));
  }

  return function show(element, data, options = {}) {
    const all = new Set(), still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    let level = options.animate && !still ? 1 : data.levels.length, timer = null;
    let columns, cards, stage;
    element.className = "walk";
    const buttons = data.levels.map((_, depth) => {
      const found = make("button", `Step ${depth + 1}`);
      found.type = "button";
      found.addEventListener("click", () => unfold(depth + 1, true));
      return found;
    });
    const play = make("button", "▶ Play");
    play.type = "button";
    play.addEventListener("click", () => { unfold(1, true); run(); });
    const sign = (kind, text) => make("span", null, kind, make("i"), text);
    const key = make("span", null, "key", sign("kept", "kept"), sign("pruned", "pruned"),
      ...(data.wanted ? [sign("want", "the wanted document")] : []));
    const steps = make("div", null, "steps", play, ...buttons, key);
    steps.setAttribute("role", "group");
    steps.setAttribute("aria-label", "levels of the tree that are shown");

    function run() {
      clearTimeout(timer);
      if (level < data.levels.length) timer = setTimeout(() => { unfold(level + 1); run(); }, PACE);
    }
    function unfold(to, stop) {
      if (stop) clearTimeout(timer);
      level = to;
      buttons.forEach((each, depth) => each.setAttribute("aria-pressed", String(depth < level)));
      stage.querySelectorAll(".level:not(.root)").forEach((each, depth) => {
        each.classList.toggle("later", depth >= level);
        each.classList.toggle("current", depth === level - 1); /* the one that a phone shows */
      });
      edges(stage, columns, cards, data);
    }
    function draw() {
      columns = chosen(data, all);
      cards = columns.map(() => new Map());
      const root = make("section", null, "level root", make("header", null, "", make("h3", "The whole tree")),
        make("div", null, "node kept", make("span", "root", "name"),
          make("span", null, "facts", make("span", count(data.documents, "document")))), make("footer"));
      const levels = columns.map((column, depth) => {
        const parents = depth ? columns[depth - 1].shown : [];
        const nodes = column.shown.map(node => {
          const found = card(node, data, depth, parents);
          cards[depth].set(node.at, found);
          found.addEventListener("click", () => {
            found.setAttribute("aria-expanded", String(found.getAttribute("aria-expanded") !== "true"));
            edges(stage, columns, cards, data);
          });
          return found;
        });
        const hidden = all.has(depth) ? 0 : column.left;
        const more = hidden ? [make("button", `${hidden} more`, "more")] : [];
        more.forEach(each => { each.type = "button"; each.addEventListener("click", () => { all.add(depth); draw(); }); });
        const header = make("header", null, "", make("h3", `Step ${depth + 1}`),
          make("small", `${count(column.total, "child").replace("childs", "children")}, ${column.kept} kept`));
        const found = make("section", null, "level", header, ...nodes, ...more, make("footer"));
        found.setAttribute("aria-label", `Step ${depth + 1}`);
        return found;
      });
      const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
      svg.setAttribute("class", "edges");
      svg.setAttribute("aria-hidden", "true");
      stage = make("div", null, "stage", svg, make("div", null, "levels", root, ...levels));
      stage.tabIndex = 0; /* so that keys scroll it */
      stage.setAttribute("role", "region");
      stage.setAttribute("aria-label", "the tree, step by step");
      const lists = make("div", null, "lists",
        list("What the search found", data.answers, data.exact, data, options, "not in the exact top"),
        data.exact ? list(`Exact top ${data.exact ? data.exact.length : ""} by the model`, data.exact, data.answers, data, options, "missed by the search")
          : make("section", null, "", make("h3", `Exact top ${data.exact ? data.exact.length : ""} by the model`), make("p", "Too many identifiers to score them all.")));
      element.replaceChildren(sentence(data), steps, stage, lists);
      unfold(level);
    }
    draw();
    run();
    new ResizeObserver(() => edges(stage, columns, cards, data)).observe(element);
  };
})();
