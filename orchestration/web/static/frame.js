// Progressive enhancement of what every page has; every page works without it. 1. Local times, with UTC on hover and a
// switch. 2. What is typed outlives a session that ends, a form that is refused and a server that restarts. 3. The
// palette. 4. Copying. 5. Tables whose cells name their columns, which a telephone shows as cards.
(() => {
  "use strict";

  document.documentElement.classList.add("scripted");
  const stored = (store, key, value) => {
    // Private windows and full disks: whatever is not kept is only a convenience.
    try {
      if (value === undefined) return store.getItem(key);
      if (value === null) store.removeItem(key); else store.setItem(key, value);
    } catch { /* not kept */ }
    return null;
  };

  // 1. Times.
  const two = (number) => String(number).padStart(2, "0");
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || "local";
  const inUtc = () => stored(localStorage, "times") === "utc";
  const written = (time) => {
    const at = new Date(time.dateTime);
    if (inUtc()) return time.title || time.textContent;
    const day = `${two(at.getMonth() + 1)}-${two(at.getDate())}`;
    const clock = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
    const now = new Date();
    if (at.toDateString() === now.toDateString()) return clock;
    return at.getFullYear() === now.getFullYear() ? `${day} ${clock}` : `${at.getFullYear()}-${day} ${clock}`;
  };
  const showTimes = () => {
    for (const time of document.querySelectorAll("time[data-moment]")) {
      const text = written(time);
      if (time.textContent !== text) time.textContent = text;
    }
  };
  const sayZone = () => {
    const place = document.getElementById("zone");
    if (!place) return;
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = inUtc() ? "Show local times" : "Show UTC";
    button.addEventListener("click", () => {
      stored(localStorage, "times", inUtc() ? null : "utc");
      sayZone();
      showTimes();
      place.querySelector("button").focus();
    });
    place.replaceChildren(inUtc() ? "Times are UTC. " : `Times are local (${zone}); UTC on hover. `, button);
  };

  // 2. What is typed.
  const banner = document.getElementById("session");
  const warn = (name) => {
    for (const part of banner.children) part.hidden = !part.hasAttribute(`data-${name}`);
    banner.hidden = false;
  };
  const isTyped = (field) => field.name && field.name !== "csrf" && !["hidden", "password", "file", "submit"].includes(field.type);
  const keyOf = (form) => {
    const rest = [...form.elements].filter((field) => field.type === "hidden" && field.name !== "csrf").map((field) => field.value);
    return `typed ${new URL(form.action, location.href).pathname} ${rest.join(" ")}`;
  };
  const keep = (form) => {
    const fields = [...form.elements].filter(isTyped).map((field) => [field.name, field.type === "checkbox" ? field.checked : field.value]);
    stored(sessionStorage, keyOf(form), JSON.stringify(fields));
  };
  const ours = (form) => form.method === "post" && [...form.elements].some(isTyped);
  const fill = (form, values) => {
    const fields = [...form.elements].filter(isTyped);
    values.forEach(([name, value], index) => {
      const field = fields[index]?.name === name ? fields[index] : null;
      if (!field) return;
      if (field.type === "checkbox") field.checked = value; else field.value = value;
    });
    form.classList.add("edited");
    for (let around = form.closest("details"); around; around = around.parentElement.closest("details")) around.open = true;
  };
  const restore = () => {
    const done = document.querySelector("#said [role=status]") && stored(sessionStorage, "sent");
    if (done) stored(sessionStorage, done, null);
    stored(sessionStorage, "sent", null);
    for (const form of [...document.forms].filter(ours)) {
      const text = stored(sessionStorage, keyOf(form));
      if (text) fill(form, JSON.parse(text));
    }
  };
  document.addEventListener("input", (event) => {
    if (event.target.form && ours(event.target.form)) keep(event.target.form);
  });
  const trouble = async () => {
    try {
      const answer = await fetch("/session", { headers: { "HX-Request": "true" }, cache: "no-store" });
      return answer.status === 401 ? "ended" : "";
    } catch {
      return "away";
    }
  };
  const checked = new WeakSet();
  document.addEventListener("submit", async (event) => {
    const form = event.target;
    if (form.method !== "post" || checked.has(form)) return;
    event.preventDefault();
    if (ours(form)) keep(form);
    const found = await trouble();
    if (found) {
      warn(found);
      return;
    }
    banner.hidden = true;
    if (ours(form)) stored(sessionStorage, "sent", keyOf(form));
    checked.add(form);
    form.requestSubmit(event.submitter && form.contains(event.submitter) ? event.submitter : undefined);
    checked.delete(form);
  });
  const refused = (status) => { if (status === 401) warn("ended"); };
  document.addEventListener("htmx:response:error", (event) => refused(event.detail?.ctx?.response?.status));
  document.addEventListener("htmx:sse:error", (event) => refused(event.detail?.status));
  // Signed in again in another tab.
  document.addEventListener("visibilitychange", async () => {
    if (document.hidden || banner.hidden || (await trouble())) return;
    location.reload();
  });

  // 3. The palette.
  const palette = document.getElementById("palette");
  const sought = document.getElementById("palette-text");
  const results = document.getElementById("palette-results");
  let asked = 0;
  let shown = "";
  const links = () => [...results.querySelectorAll("a")];
  const show = (text, nodes) => {
    const at = links().indexOf(document.activeElement);
    results.replaceChildren(...nodes);
    shown = text;
    // What replaces the link that was chosen already is chosen.
    if (at >= 0) (links()[Math.min(at, links().length - 1)] ?? sought).focus();
  };
  const search = async () => {
    const number = ++asked;
    const text = sought.value.trim();
    if (!text) {
      show(text, []);
      return;
    }
    const answer = await fetch(`/search?q=${encodeURIComponent(text)}`, { headers: { "HX-Request": "true" } }).catch(() => null);
    if (answer) refused(answer.status);
    if (!answer?.ok || number !== asked) return;
    const found = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("results");
    if (found) show(text, found.childNodes);
  };
  let pause = 0;
  sought.addEventListener("input", () => { clearTimeout(pause); pause = setTimeout(search, 120); });
  const open = () => {
    if (!palette.open) palette.showModal();
    sought.select();
  };
  const closeMenus = (except) => {
    for (const menu of document.querySelectorAll(".more[open]")) if (!except || !menu.contains(except)) menu.open = false;
  };
  document.addEventListener("click", (event) => {
    if (event.target.closest(".find") && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      open();
    }
    if (event.target === palette) palette.close();
    closeMenus(event.target);
  });
  const typing = (target) => target.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(target.tagName);
  const step = (by) => {
    const at = links().indexOf(document.activeElement) + by;
    if (at < 0) sought.focus(); else links()[Math.min(at, links().length - 1)]?.focus();
  };
  const follow = async () => {
    clearTimeout(pause);
    // The results may still be those of what was typed before.
    if (shown !== sought.value.trim()) await search();
    const [first] = shown === sought.value.trim() ? links() : [];
    if (first) first.click(); else sought.form.requestSubmit();
  };
  document.addEventListener("keydown", (event) => {
    if ((event.key === "k" && (event.ctrlKey || event.metaKey)) || (event.key === "/" && !typing(event.target))) {
      event.preventDefault();
      open();
    } else if (palette.open && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
      event.preventDefault();
      step(event.key === "ArrowDown" ? 1 : -1);
    } else if (palette.open && event.key === "Enter" && document.activeElement === sought) {
      event.preventDefault();
      follow();
    } else if (event.key === "Escape") {
      closeMenus();
    }
  });

  // 4. Copying.
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    let done = true;
    // News that comes now would take the answer away before anybody has read it.
    button.setAttribute("hx-morph-skip", "");
    // Over plain HTTP from another machine browsers offer no clipboard.
    try { await navigator.clipboard.writeText(button.dataset.copy); } catch { done = false; }
    const said = button.firstChild;
    said.textContent = done ? "Copied" : "Not allowed here";
    setTimeout(() => { said.textContent = "Copy"; button.removeAttribute("hx-morph-skip"); }, 1500);
  });

  // 5. Cards.
  const label = () => {
    for (const table of document.querySelectorAll("#page table.rows:not(.waterfall)")) {
      const names = [...(table.tHead?.rows[0]?.cells ?? [])].map((cell) => cell.textContent.trim());
      if (!names.length || table.closest(".bars, .plotted")) continue;
      table.classList.add("cards-of");
      for (const row of table.tBodies[0]?.rows ?? []) {
        [...row.cells].forEach((cell, index) => { if (cell.tagName === "TD" && names[index]) cell.dataset.label = names[index]; });
      }
    }
  };

  sayZone();
  showTimes();
  restore();
  label();
  document.addEventListener("htmx:after:swap", () => { showTimes(); label(); });
})();
