// Progressive enhancement; every page works without it. 1. Shows whether the page is live. 2. Keeps "5 min ago" and the
// seconds of what is under way up to date. 3. Shows the value of a slider, and keeps what is being filled in. 4. Draws plots from the tables behind them.
(() => {
  "use strict";

  const pill = document.getElementById("stream");
  const setStatus = (text, state) => {
    if (pill.textContent !== text) pill.textContent = text;
    pill.classList.toggle("on", state === "on");
    pill.classList.toggle("off", state === "off");
  };
  if (pill) {
    setStatus("connecting", "");
    document.addEventListener("htmx:sse:after:connection", () => setStatus("live", "on"));
    document.addEventListener("htmx:sse:before:message", () => setStatus("live", "on"));
    document.addEventListener("htmx:sse:error", () => setStatus("reconnecting", "off"));
    document.addEventListener("htmx:sse:close", () => setStatus("offline", "off"));
  }

  document.querySelector("nav [aria-current]")?.scrollIntoView({ inline: "center", block: "nearest" });

  // Relative to the server's clock: the clock of the viewer's machine may be wrong.
  const clockOffset = Date.parse(document.body.dataset.now) - Date.now();
  const units = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  const relative = (moment) => {
    const gone = Math.trunc((Date.now() + clockOffset - moment) / 1000);
    const seconds = Math.abs(gone);
    const [unit, size] = units.find(([, size]) => seconds >= size) || units[3];
    const text = `${Math.floor(seconds / size)} ${unit}`;
    return gone >= 0 ? `${text} ago` : `in ${text}`;
  };
  const elapsed = (moment) => {
    const gone = Math.max(0, Math.trunc((Date.now() + clockOffset - moment) / 1000));
    return gone < 60 ? `${gone} s` : `${Math.trunc(gone / 60)} min ${gone % 60} s`;
  };
  const tick = () => {
    for (const time of document.querySelectorAll("time[data-elapsed]")) {
      const text = elapsed(Date.parse(time.dateTime));
      if (time.textContent !== text) time.textContent = text;
    }
    for (const time of document.querySelectorAll("time[data-relative]")) {
      const text = relative(Date.parse(time.dateTime));
      if (time.textContent !== text) time.textContent = text;
    }
  };
  setInterval(tick, 1000);

  // A form that somebody is filling in is theirs: news leaves it alone (morphSkip in base.html).
  document.addEventListener("input", (event) => {
    event.target.form?.classList.add("edited");
    if (event.target.type === "range") event.target.nextElementSibling.value = event.target.value;
  });

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const numbers = (table) => {
    const rows = [...table.tBodies[0].rows].map((row) => [...row.cells].filter((cell) => "x" in cell.dataset || "y" in cell.dataset));
    const names = [...table.tHead.rows[0].cells].slice(1).map((cell) => cell.textContent.trim());
    const columns = rows.length ? rows[0].map((_, index) => rows.map((cells) => {
      const text = index ? cells[index].dataset.y : cells[0].dataset.x;
      return text === "" ? null : Number(text);
    })) : [];
    return { names, columns, labels: [...table.tBodies[0].rows].map((row) => row.cells[0].textContent) };
  };
  const options = (figure, found, width) => {
    const axis = { stroke: colour("--calm"), grid: { stroke: colour("--rule"), width: 1 }, ticks: { stroke: colour("--rule"), width: 1 } };
    const byTime = figure.dataset.plot === "time";
    const moments = { space: 60, values: (_u, ticks, _axis, _space, step) => ticks.map((tick) => {
      const text = new Date(tick * 1000).toISOString();
      return step >= 86400 ? text.slice(5, 10) : text.slice(11, 16);
    }) };
    const months = { space: 70, values: (_, ticks) => ticks.map((tick) => found.labels[tick] ?? "") };
    return {
      width, height: 170, legend: { show: found.columns.length > 2, live: false }, cursor: { show: false },
      scales: { x: { time: byTime }, y: { range: (_, least, most) => [Math.min(0, least ?? 0), (most ?? 1) * 1.1 || 1] } },
      axes: [{ ...axis, ...(byTime ? moments : months) }, { ...axis, size: 48 }],
      series: [{}, ...found.columns.slice(1).map((_, index) => ({
        label: found.names[index], stroke: colour(`--line-${(index % 4) + 1}`), width: 1.5,
        points: { show: !byTime || found.columns[0].length < 3 }, spanGaps: true,
        ...(found.names[index] === LIMIT ? { stroke: colour("--bad"), dash: [4, 4], width: 1 } : {}),
      }))],
    };
  };
  const LIMIT = "alert threshold";
  const drawn = new WeakMap();
  const draw = () => {
    if (!window.uPlot) return;
    for (const figure of document.querySelectorAll("figure[data-plot]")) {
      const place = figure.querySelector(".plot");
      const table = figure.querySelector("details table");
      if (!place || !table || !place.clientWidth) continue;
      const found = numbers(table);
      drawn.get(place)?.destroy();
      if (found.columns.length && figure.dataset.limit) {
        found.names[found.columns.length - 1] = LIMIT;
        found.columns.push(found.columns[0].map(() => Number(figure.dataset.limit)));
      }
      if (found.columns.length) drawn.set(place, new uPlot(options(figure, found, place.clientWidth), found.columns, place));
    }
  };
  draw();
  let waiting = 0;
  const soon = () => { clearTimeout(waiting); waiting = setTimeout(draw, 100); };
  addEventListener("resize", soon);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", soon);
  document.addEventListener("htmx:after:swap", () => { tick(); soon(); });
})();
