// Shows push messages, also while no page is open, and renews the subscription when the push service replaces it. It keeps
// nothing.
"use strict";

self.addEventListener("push", (event) => {
  let message = {};
  try { message = event.data ? event.data.json() : {}; } catch { /* browsers want a notification for each message */ }
  event.waitUntil(self.registration.showNotification(message.title || "Orchestrator", {
    body: message.body || "Open the dashboard.",
    // Of each incident the newest message is shown; it is a new one for whoever has seen the last.
    tag: message.tag || "orchestrator",
    renotify: true,
    requireInteraction: message.urgent === true,
    icon: "/static/icon.svg",
    data: { url: message.url || "/", acknowledge: message.acknowledge || "" },
    actions: message.acknowledge ? [{ action: "acknowledge", title: "Acknowledge" }] : [],
  }));
});

self.addEventListener("notificationclick", (event) => {
  const { url, acknowledge } = event.notification.data;
  event.notification.close();
  event.waitUntil(self.clients.openWindow(event.action === "acknowledge" ? acknowledge : url));
});

const coded = (bytes) => btoa(String.fromCharCode(...new Uint8Array(bytes))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");

const answer = async (path, options) => {
  const response = await fetch(`/api/v1/push${path}`, { credentials: "same-origin", ...options });
  if (!response.ok) throw new Error(`the server answered ${response.status}`);
  return response.json();
};

const renew = async (before, after) => {
  const found = after || await self.registration.pushManager.subscribe({
    userVisibleOnly: true,
    applicationServerKey: (await answer("")).key,
  });
  await answer("/devices", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({
      endpoint: found.endpoint,
      p256dh: coded(found.getKey("p256dh")),
      auth: coded(found.getKey("auth")),
      replaces: before?.endpoint || "",
    }),
  });
};

// https://www.w3.org/TR/push-api/#the-pushsubscriptionchange-event. Without a session of its user nobody knows whose device
// this is, and whoever relies on it has to learn that it is silent now.
self.addEventListener("pushsubscriptionchange", (event) => event.waitUntil(
  renew(event.oldSubscription, event.newSubscription).catch(() => self.registration.showNotification("This device gets no more pages", {
    body: "Its subscription has ended. Open the page On call and subscribe it again.",
    tag: "orchestrator-subscription",
    requireInteraction: true,
    icon: "/static/icon.svg",
    data: { url: "/on-call", acknowledge: "" },
  })),
));
