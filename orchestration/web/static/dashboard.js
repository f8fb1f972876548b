// Progressive enhancement; every page works without it. 1. Shows whether the page is live. 2. Keeps "5 min ago" and the
// seconds of what is under way up to date. 3. Shows the value of a slider, and keeps what is being filled in.
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

  document.addEventListener("htmx:after:swap", tick);
})();
