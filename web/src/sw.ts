/// <reference lib="webworker" />
// Offline: what has a hash in its name never changes and comes from the cache; the page itself comes from the node, and from the cache when
// the node does not answer. Calls to nodes pass by untouched: nothing about a person is ever cached here.
const worker = self as unknown as ServiceWorkerGlobalScope;
export {};

const CACHE = "page-1";

worker.addEventListener("install", (event) => {
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(["./", "./manifest.webmanifest", "./icon.svg"])).then(() => worker.skipWaiting()));
});

worker.addEventListener("activate", (event) => {
  event.waitUntil(worker.clients.claim());
});

worker.addEventListener("fetch", (event) => {
  const url = new URL(event.request.url);
  if (event.request.method !== "GET" || url.origin !== worker.location.origin) return;
  if (/^\/(assets|models|samples)\//.test(url.pathname)) event.respondWith(cached(event.request));
  else if (event.request.mode === "navigate" || /^\/(icon\.svg|manifest\.webmanifest)$/.test(url.pathname)) event.respondWith(fresh(event.request));
});

async function cached(request: Request): Promise<Response> {
  const cache = await caches.open(CACHE);
  const found = await cache.match(request);
  if (found) return found;
  const response = await fetch(request);
  if (response.ok) await cache.put(request, response.clone());
  return response;
}

async function fresh(request: Request): Promise<Response> {
  const cache = await caches.open(CACHE);
  try {
    const response = await fetch(request);
    if (response.ok) await cache.put(request, response.clone());
    return response;
  } catch (error) {
    const found = (await cache.match(request)) ?? (await cache.match("./"));
    if (found) return found;
    throw error;
  }
}
