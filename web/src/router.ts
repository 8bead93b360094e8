// Pages by what stands behind the #: no server needs to know them, and they work offline.
import { signal } from "@preact/signals";

export const path = signal(read());

function read(): string {
  return (location.hash.replace(/^#\/?/, "") || "home").split("?")[0] ?? "home";
}

addEventListener("hashchange", () => {
  path.value = read();
  // A new page begins at its top, and a screen reader begins to read there.
  scrollTo(0, 0);
  requestAnimationFrame(() => document.querySelector<HTMLElement>("main h1")?.focus());
});

export function go(to: string): void {
  location.hash = `/${to}`;
}

/** The part after `name/`, as in `requests/3f2a...`. */
export function rest(name: string): string | null {
  return path.value.startsWith(`${name}/`) ? path.value.slice(name.length + 1) : null;
}
