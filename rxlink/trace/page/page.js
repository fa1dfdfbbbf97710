"use strict";
// Draws the data of this page. Whatever comes from a trace is put in as text, never as HTML.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const find = (id) => document.getElementById(id);
  const LARGEST = 400; // how far one can zoom in
  const view = { zoom: 1, shift: 0, filter: "", kind: "", show: "", operation: null, linear: false };

  // ---------------------------------------------------------------------------------- time and place

  const whole = Math.max(data.seconds, 1e-9);
  const between = (from, to, value) => {
    let low = 0, high = from.length - 1;
    if (value <= from[0]) return to[0];
    if (value >= from[high]) return to[high];
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (from[middle] <= value) low = middle; else high = middle;
    }
    const part = (value - from[low]) / (from[high] - from[low] || 1);
    return to[low] + part * (to[high] - to[low]);
  };
  const EDGE = .008; // left free on both sides, for marks
  const placeOf = (seconds) => {
    const share = view.linear ? seconds / whole : between(data.scale.moments, data.scale.places, seconds);
    return EDGE + share * (1 - 2 * EDGE);
  };
  const timeAt = (place) => {
    const share = Math.min(Math.max((place - EDGE) / (1 - 2 * EDGE), 0), 1);
    return view.linear ? share * whole : between(data.scale.places, data.scale.moments, share);
  };
  const shown = (seconds) => seconds.toFixed(seconds < 10 ? 3 : 2) + " s";

  // ---------------------------------------------------------------------------------- small parts

  const element = (tag, className, text) => {
    const made = document.createElement(tag);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  };
  const percent = (share) => (share * 100).toFixed(4) + "%";
  const at = (made, began, ended) => {
    made.style.left = percent(placeOf(began));
    if (ended !== undefined) made.style.width = percent(placeOf(ended) - placeOf(began));
    return made;
  };
  const titled = (made, title) => { made.title = title; return made; };

  // ---------------------------------------------------------------------------------- the picture

  const drawRefreshes = () => {
    const bands = find("bands"), chips = find("chips");
    bands.replaceChildren(); chips.replaceChildren();
    let named = -1;
    for (const refresh of data.refreshes) {
      const failed = refresh.error ? " failed" : "";
      bands.append(at(element("div", "band" + failed), refresh.began, refresh.ended));
      chips.append(titled(at(element("div", "chip" + failed, refresh.number), refresh.began, refresh.ended), refresh.words));
      if (placeOf(refresh.began) > named) {
        const why = titled(element("div", "why", refresh.why), refresh.words);
        if (placeOf(refresh.began) > .85) { why.style.right = percent(1 - placeOf(refresh.ended)); } else { at(why, refresh.began); }
        chips.append(why);
        named = placeOf(refresh.began) + .09;
      }
    }
    if (!view.linear) {
      for (const [began, ended] of data.gaps) bands.append(at(element("div", "gap"), (began + ended) / 2));
    }
  };

  const laneOf = (operation) => {
    const lane = element("span", "lane"), track = element("span", "track");
    for (const [kind, began, ended, where, refresh] of operation.spans) {
      const span = at(element("i", "span " + kind, refresh || undefined), began, ended);
      const what = { way: "under way", waiting: refresh ? "waits for refresh " + refresh : "waits for stored tokens", held: "held" }[kind];
      track.append(titled(span, `${what} (${where}), ${shown(ended - began)}`));
    }
    for (const [kind, seconds, words] of operation.marks) {
      track.append(titled(at(element("b", "mark " + kind), seconds), `${words} at ${shown(seconds)}`));
    }
    lane.append(track);
    return lane;
  };

  const rowOf = (operation) => {
    const row = element("button", "row"), name = element("span", "name");
    row.type = "button";
    row.dataset.number = operation.number;
    row.setAttribute("aria-expanded", "false");
    row.setAttribute("aria-controls", "details");
    row.setAttribute("aria-label", `${operation.kind} ${operation.number} ${operation.name}: ${operation.ending}`);
    name.append(element("b", "", operation.name), element("small", "", operation.number));
    name.title = `${operation.kind} ${operation.name}: ${operation.ending}`;
    row.append(name, laneOf(operation));
    row.addEventListener("click", () => choose(view.operation === operation.number ? null : operation.number));
    return row;
  };

  const rows = new Map();
  const draw = () => {
    drawRefreshes();
    rows.clear();
    for (const operation of data.operations) rows.set(operation.number, rowOf(operation));
    find("rows").replaceChildren(...rows.values());
    filter();
  };

  const drawAxis = () => {
    const axis = find("axis"), count = Math.max(2, Math.min(10, Math.floor(axis.parentElement.clientWidth / 90)));
    axis.replaceChildren();
    for (let tick = 0; tick < count; tick++) {
      const label = element("span", "", shown(timeAt(view.shift + tick / count / view.zoom)));
      label.style.left = percent(tick / count);
      axis.append(label);
    }
  };

  // ---------------------------------------------------------------------------------- filter

  const SHOWS = {
    "": () => true,
    notable: (operation) => !operation.plain,
    waited: (operation) => operation.spans.some((span) => span[0] === "waiting"),
    again: (operation) => operation.sends > 1,
    failed: (operation) => operation.bad,
    open: (operation) => operation.open,
  };
  const filter = () => {
    const words = view.filter.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const operation of data.operations) {
      const fits = (!view.kind || operation.kind === view.kind) && (SHOWS[view.show] || SHOWS[""])(operation)
        && words.every((word) => operation.text.includes(word) || String(operation.number) === word);
      rows.get(operation.number).hidden = !fits;
      rows.get(operation.number).style.display = fits ? "" : "none";
      count += fits;
    }
    find("count").textContent = `${count} of ${data.operations.length} operations`;
    find("nothing").hidden = count > 0;
  };

  // ---------------------------------------------------------------------------------- one operation

  const CLASSES = { error: "bad", broken: "bad", waiting: "waits", refreshed: "waits", retried: "waits", result: "good" };
  const showDetails = () => {
    const details = find("details"), operation = data.operations.find((one) => one.number === view.operation);
    for (const row of rows.values()) row.setAttribute("aria-expanded", String(Number(row.dataset.number) === view.operation));
    details.hidden = !operation;
    details.replaceChildren();
    if (!operation) return;
    const heading = element("h2", "", `${operation.name} (${operation.kind} ${operation.number})`), close = element("button", "", "close");
    close.type = "button";
    close.addEventListener("click", () => choose(null));
    heading.append(close);
    const list = element("ol");
    for (const [seconds, kind, words, isBad] of operation.events) {
      const item = element("li", isBad ? "bad" : CLASSES[kind] || "");
      item.append(element("time", "", "+" + shown(seconds - operation.began)), element("span", "", words));
      list.append(item);
    }
    details.append(heading, element("p", "", `${operation.ending}; began at ${shown(operation.began)}`), list);
  };
  const choose = (number) => {
    const before = view.operation;
    view.operation = number;
    showDetails();
    remember();
    if (number === null && rows.has(before)) rows.get(before).focus();
  };

  // ---------------------------------------------------------------------------------- zoom

  const move = (zoom, shift) => {
    view.zoom = Math.min(Math.max(zoom, 1), LARGEST);
    view.shift = Math.min(Math.max(shift, 0), 1 - 1 / view.zoom);
    document.documentElement.style.setProperty("--zoom", view.zoom);
    document.documentElement.style.setProperty("--shift", view.shift);
    drawAxis();
    remember();
  };
  const zoomAround = (factor, place) => {
    const zoom = Math.min(Math.max(view.zoom * factor, 1), LARGEST);
    const fixed = view.shift + place / view.zoom;
    move(zoom, fixed - place / zoom);
  };
  const placeUnder = (event) => {
    const box = find("axis").parentElement.getBoundingClientRect();
    return Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1);
  };
  const onWheel = (event, always) => {
    if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      event.preventDefault();
      move(view.zoom, view.shift + (event.deltaX || event.deltaY) / 1000 / view.zoom);
    } else if (always || event.ctrlKey || event.metaKey) {
      event.preventDefault();
      zoomAround(Math.exp(-event.deltaY / 300), placeUnder(event));
    }
  };
  find("head").addEventListener("wheel", (event) => onWheel(event, true), { passive: false });
  find("body").addEventListener("wheel", (event) => onWheel(event, false), { passive: false });
  let grip = null;
  find("head").addEventListener("pointerdown", (event) => {
    grip = { x: event.clientX, shift: view.shift };
    find("head").setPointerCapture(event.pointerId);
  });
  find("head").addEventListener("pointermove", (event) => {
    if (grip) move(view.zoom, grip.shift - (event.clientX - grip.x) / find("axis").parentElement.clientWidth / view.zoom);
  });
  find("head").addEventListener("pointerup", () => { grip = null; });

  // ---------------------------------------------------------------------------------- the address

  const remember = () => {
    const kept = new URLSearchParams();
    for (const name of ["filter", "kind", "show"]) if (view[name]) kept.set(name, view[name]);
    if (view.operation !== null) kept.set("operation", view.operation);
    if (view.zoom > 1) { kept.set("zoom", view.zoom.toFixed(3)); kept.set("shift", view.shift.toFixed(5)); }
    if (view.linear) kept.set("time", "true");
    try {
      history.replaceState(null, "", "#" + kept);
    } catch { /* a page in a sandbox keeps nothing */ }
  };
  const recall = () => {
    const kept = new URLSearchParams(location.hash.slice(1));
    for (const name of ["filter", "kind", "show"]) {
      view[name] = kept.get(name) || "";
      find(name).value = view[name];
    }
    const number = Number(kept.get("operation"));
    view.operation = data.operations.some((operation) => operation.number === number) ? number : null;
    view.linear = find("linear").checked = kept.get("time") === "true";
    draw();
    showDetails();
    move(Number(kept.get("zoom")) || 1, Number(kept.get("shift")) || 0);
  };

  // ---------------------------------------------------------------------------------- hands

  for (const name of ["filter", "kind", "show"]) {
    find(name).addEventListener("input", (event) => { view[name] = event.target.value; filter(); remember(); });
  }
  find("tools").addEventListener("submit", (event) => event.preventDefault());
  find("in").addEventListener("click", () => zoomAround(1.6, .5));
  find("out").addEventListener("click", () => zoomAround(1 / 1.6, .5));
  find("whole").addEventListener("click", () => move(1, 0));
  find("linear").addEventListener("change", (event) => {
    view.linear = event.target.checked;
    draw(); showDetails(); move(1, 0);
  });
  const step = (by) => {
    const visible = [...rows.values()].filter((row) => !row.hidden);
    const next = visible[Math.min(Math.max(visible.indexOf(document.activeElement) + by, 0), visible.length - 1)];
    if (next) next.focus();
  };
  const KEYS = {
    "+": () => zoomAround(1.6, .5), "=": () => zoomAround(1.6, .5), "-": () => zoomAround(1 / 1.6, .5), 0: () => move(1, 0),
    ArrowLeft: () => move(view.zoom, view.shift - .1 / view.zoom), ArrowRight: () => move(view.zoom, view.shift + .1 / view.zoom),
    ArrowDown: () => step(1), ArrowUp: () => step(-1), "/": () => find("filter").focus(), Escape: () => choose(null),
  };
  document.addEventListener("keydown", (event) => {
    const isTyping = ["INPUT", "SELECT"].includes(event.target.tagName);
    if (event.ctrlKey || event.metaKey || event.altKey || (isTyping && event.key !== "Escape")) return;
    if (KEYS[event.key]) { event.preventDefault(); KEYS[event.key](); }
  });
  window.addEventListener("resize", drawAxis);
  window.addEventListener("hashchange", recall);
  recall();
})();
