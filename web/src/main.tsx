import { render } from "preact";
import { App } from "./app";
import { client } from "./core/client";
import { lockIn, start } from "./core/state";

const root = document.getElementById("app")!;
root.textContent = "";
render(<App />, root);
void start();

// Offline: the page, the client and the models from this browser's cache.
if ("serviceWorker" in navigator) void navigator.serviceWorker.register("./sw.js").catch(() => undefined);

// For the tests that drive this page.
Object.assign(globalThis, { commons: { client, lockIn } });
