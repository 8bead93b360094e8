// Every word that a person reads stands in en.json. A translation is a file with the same keys beside it.
import en from "./en.json";

type Tree = { [key: string]: string | Tree };

function find(key: string): string | undefined {
  let at: string | Tree | undefined = en as Tree;
  for (const part of key.split(".")) {
    if (typeof at !== "object") return undefined;
    at = at[part];
  }
  return typeof at === "string" ? at : undefined;
}

/** The words for `key`, with `{name}` filled in. `key|count` style plurals: `one` and `other` below the key. */
export function t(key: string, values: Record<string, string | number> = {}): string {
  const count = values.count;
  const plural = typeof count === "number" ? find(`${key}.${count === 1 ? "one" : "other"}`) : undefined;
  const text = plural ?? find(key) ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => {
    const value = values[name];
    return value === undefined ? whole : typeof value === "number" ? number(value) : value;
  });
}

/** Are there words for this key? */
export const has = (key: string) => find(key) !== undefined;

/** The words for a name that a node or a log uses; the name itself where a newer node says something that this page does not know. */
export const word = (group: string, name: string) => (has(`${group}.${name}`) ? t(`${group}.${name}`) : name);

/** Thin spaces between groups of three digits. */
export function number(value: number): string {
  const [whole = "", part] = String(value).split(".");
  const grouped = whole.replace(/\B(?=(\d{3})+(?!\d))/g, "\u202f");
  return part === undefined ? grouped : `${grouped}.${part}`;
}

/** At most three significant figures. */
export const figure = (value: number) => number(Number(value.toPrecision(3)));

/** A share of one, as a percentage. */
export const percent = (value: number) => (value > 0 && value < 1e-4 ? `${figure(value * 100)}\u202f%` : `${figure(value * 100)}\u202f%`);

/** Local time with its zone. */
export function time(seconds: number): string {
  return new Date(seconds * 1000).toLocaleString("en-GB", { day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", timeZoneName: "short" });
}

export function clock(seconds: number): string {
  return new Date(seconds * 1000).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
}

/** "node 2", "nodes 1 and 3". */
export function nodes(list: number[]): string {
  if (list.length <= 1) return t("node.one", { node: list[0] ?? "?" });
  return t("node.many", { nodes: list.slice(0, -1).join(", "), last: list[list.length - 1] ?? "" });
}
