// Shows push messages, also while no page is open. It fetches nothing and keeps nothing.
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
