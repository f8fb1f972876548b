// Draws plots from the tables behind them, marks changes in them, and offers both as files. Without it, the tables are there.
(() => {
  "use strict";

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const numbers = (table) => {
    const rows = [...table.tBodies[0].rows].map((row) => [...row.cells].filter((cell) => "x" in cell.dataset || "y" in cell.dataset));
    const names = [...table.tHead.rows[0].cells].slice(1).map((cell) => cell.textContent.trim());
    const columns = rows.length ? rows[0].map((_, index) => rows.map((cells) => {
      const text = index ? cells[index].dataset.y : cells[0].dataset.x;
      return text === "" ? null : Number(text);
    })) : [];
    return { names, columns, labels: [...table.tBodies[0].rows].map((row) => row.cells[0].textContent.trim()) };
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
      hooks: { draw: [(plot) => drawMarks(plot, byTime, found.labels)] },
      series: [{}, ...found.columns.slice(1).map((_, index) => ({
        label: found.names[index], stroke: colour(`--line-${(index % 4) + 1}`), width: 1.5,
        points: { show: !byTime || found.columns[0].length < 3 }, spanGaps: true,
        ...(found.names[index] === LIMIT ? { stroke: colour("--bad"), dash: [4, 4], width: 1 } : {}),
      }))],
    };
  };
  // Vertical lines where something was deployed or configured. A month is drawn as one point, so its days are spread
  // half a step to each side.
  const drawMarks = (plot, byTime, labels) => {
    const { ctx, bbox } = plot;
    ctx.save();
    for (const mark of document.querySelectorAll("[data-mark]")) {
      const at = new Date(mark.dataset.at);
      const month = labels.indexOf(mark.dataset.at.slice(0, 7));
      if (!byTime && month < 0) continue;
      const place = plot.valToPos(byTime ? at / 1000 : month - 0.5 + (at.getUTCDate() - 1) / 31, "x", true);
      if (place < bbox.left || place > bbox.left + bbox.width) continue;
      ctx.strokeStyle = colour(mark.dataset.mark === "deployment" ? "--label" : "--calm");
      ctx.setLineDash(mark.dataset.mark === "deployment" ? [] : [3, 3]);
      ctx.beginPath();
      ctx.moveTo(place, bbox.top);
      ctx.lineTo(place, bbox.top + bbox.height);
      ctx.stroke();
    }
    ctx.restore();
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
  // A plot and its numbers as files, made here from what is shown.
  const titleOf = (figure) => figure.querySelector("figcaption strong").textContent.trim();
  const save = (figure, kind, blob) => {
    const link = document.createElement("a");
    link.download = `${titleOf(figure).toLowerCase().replace(/[^a-z0-9]+/g, "-")}.${kind}`;
    link.href = URL.createObjectURL(blob);
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  };
  const picture = (figure) => {
    const plot = figure.querySelector(".plot canvas");
    if (!plot) return;
    const scale = plot.width / plot.clientWidth;
    const line = 18 * scale;
    const found = numbers(figure.querySelector("details table"));
    const whole = document.createElement("canvas");
    whole.width = plot.width;
    whole.height = plot.height + 3.4 * line;
    const ctx = whole.getContext("2d");
    ctx.fillStyle = getComputedStyle(document.body).backgroundColor;
    ctx.fillRect(0, 0, whole.width, whole.height);
    ctx.fillStyle = getComputedStyle(document.body).color;
    ctx.font = `600 ${13 * scale}px sans-serif`;
    ctx.fillText(titleOf(figure), line / 2, line);
    ctx.font = `${11 * scale}px sans-serif`;
    let across = line / 2;
    found.names.forEach((name, index) => {
      ctx.fillStyle = colour(`--line-${(index % 4) + 1}`);
      ctx.fillText(name, across, 2.1 * line);
      across += ctx.measureText(name).width + line;
    });
    ctx.drawImage(plot, 0, 2.6 * line);
    whole.toBlob((blob) => save(figure, "png", blob));
  };
  // A text that a spreadsheet would take for a formula is no formula.
  const quoted = (text) => `"${(/^[=+\-@\t\r]/.test(text) && Number.isNaN(Number(text)) ? `'${text}` : text).replaceAll('"', '""')}"`;
  const csv = (figure) => {
    const table = figure.querySelector("details table");
    const head = [...table.tHead.rows[0].cells].map((cell) => cell.textContent.trim());
    const rows = [...table.tBodies[0].rows].map((row) => [...row.cells].map((cell, index) => {
      if (index) return cell.dataset.y ?? cell.textContent.trim();
      return figure.dataset.plot === "time" ? new Date(cell.dataset.x * 1000).toISOString() : cell.textContent.trim();
    }));
    const text = [head, ...rows].map((cells) => cells.map(quoted).join(",")).join("\r\n") + "\r\n";
    save(figure, "csv", new Blob([text], { type: "text/csv" }));
  };
  const offer = () => {
    for (const figure of document.querySelectorAll("figure[data-plot]")) {
      if (!figure.querySelector("details table") || figure.querySelector(".save")) continue;
      const place = document.createElement("span");
      place.className = "save";
      for (const [kind, make] of [["PNG", picture], ["CSV", csv]]) {
        const button = document.createElement("button");
        button.type = "button";
        button.className = "copy";
        button.textContent = kind;
        button.setAttribute("aria-label", `${titleOf(figure)} as ${kind}`);
        button.addEventListener("click", () => make(figure));
        place.append(button);
      }
      figure.querySelector("figcaption").append(place);
    }
  };
  draw();
  offer();
  let waiting = 0;
  const soon = () => { clearTimeout(waiting); waiting = setTimeout(() => { draw(); offer(); }, 100); };
  addEventListener("resize", soon);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", soon);
  document.addEventListener("htmx:after:swap", soon);
})();
