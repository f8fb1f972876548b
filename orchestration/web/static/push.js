// Subscribes this browser to push messages, and says plainly why it cannot. The page's form sends the subscription, so that
// it is checked and recorded like every other form.
(() => {
  "use strict";

  const form = document.getElementById("push");
  if (!form) return;
  const button = form.querySelector("button");
  const status = form.querySelector("[role=status]");
  const say = (text) => { status.textContent = text; };
  const worker = () => navigator.serviceWorker.register("/static/push-worker.js", { scope: "/static/" });

  const obstacle = () => {
    if (!window.isSecureContext) return "Browsers receive push messages only from an https:// address.";
    if (!("serviceWorker" in navigator) || !("PushManager" in window) || !("Notification" in window)) {
      return "This browser cannot receive push messages. On an iPhone or iPad, add the page to the home screen first.";
    }
    if (Notification.permission === "denied") return "Notifications of this page are blocked. Allow them in the browser's settings.";
    return "";
  };

  const reason = (error) => {
    if (error.name === "NotAllowedError") return "Notifications were not allowed, so nothing was subscribed.";
    if (error.name === "AbortError") return "This browser did not reach its push service, so nothing was subscribed.";
    return `Nothing was subscribed: ${error.message}`;
  };

  const label = () => {
    const system = navigator.userAgentData?.platform || navigator.platform || "";
    const brand = navigator.userAgentData?.brands?.at(-1)?.brand || (navigator.userAgent.match(/(Firefox|Safari|Chrome)/) || ["browser"])[0];
    return [brand, system].filter(Boolean).join(" on ");
  };

  const coded = (bytes) => btoa(String.fromCharCode(...new Uint8Array(bytes))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");

  const subscribe = async () => {
    button.disabled = true;
    say("Subscribing…");
    try {
      if ((await Notification.requestPermission()) !== "granted") {
        say("Notifications were not allowed, so nothing was subscribed.");
        return;
      }
      const registration = await worker();
      const before = await registration.pushManager.getSubscription();
      // One with another key belongs to an installation that is gone.
      if (before && coded(before.options.applicationServerKey) !== form.dataset.key) await before.unsubscribe();
      const found = await registration.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: form.dataset.key });
      form.elements.endpoint.value = found.endpoint;
      form.elements.p256dh.value = coded(found.getKey("p256dh"));
      form.elements.auth.value = coded(found.getKey("auth"));
      form.elements.label.value = label();
      form.requestSubmit();
    } catch (error) {
      say(reason(error));
    } finally {
      button.disabled = false;
    }
  };

  const found = obstacle();
  say(found);
  if (found) return;
  button.disabled = false;
  button.addEventListener("click", subscribe);
})();
