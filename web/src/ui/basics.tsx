// The few pieces of which every page is made.
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { asTrouble } from "../core/state";
import type { Trouble } from "../core/types";
import { has, nodes, t } from "../strings/i18n";

export function Page(props: { title: string; lead?: string; wide?: boolean; children: ComponentChildren }) {
  useEffect(() => {
    document.title = `${props.title} - ${t("name")}`;
  }, [props.title]);
  return (
    <div class={`page${props.wide ? " wide" : ""}`}>
      <h1 tabIndex={-1}>{props.title}</h1>
      {props.lead && <p class="lead">{props.lead}</p>}
      {props.children}
    </div>
  );
}

export function Section(props: { title: string; children: ComponentChildren }) {
  return (
    <section>
      <h2>{props.title}</h2>
      {props.children}
    </section>
  );
}

export type Row = [label: string, text: ComponentChildren] | null | false | undefined;

export function Rows({ rows }: { rows: Row[] }) {
  return (
    <dl class="rows">
      {rows.filter((row): row is [string, ComponentChildren] => !!row).map(([label, text]) => (
        <div key={label}>
          <dt>{label}</dt>
          <dd>{text}</dd>
        </div>
      ))}
    </dl>
  );
}

const SIGNS = { good: "✓", warn: "!", stop: "✕", plain: "" };

/** Something told apart: with a title in a few words, or a sentence or two as `text`. */
export function Notice(props: { kind: "good" | "warn" | "stop" | "plain"; title?: string; text?: string; children?: ComponentChildren }) {
  const sign = SIGNS[props.kind] && <span aria-hidden="true">{SIGNS[props.kind]}</span>;
  return (
    <div class={`notice ${props.kind}`} role={props.kind === "stop" ? "alert" : "status"}>
      {props.title && (
        <h2>
          {sign}
          {props.title}
        </h2>
      )}
      {props.text && (
        <p class="said">
          {!props.title && sign}
          {props.text}
        </p>
      )}
      {props.children}
    </div>
  );
}

/** A trouble in calm words: what happened, what it means, what to do. */
export function Told({ trouble, again }: { trouble: Trouble; again?: () => void }) {
  const many = trouble.nodes.length > 1;
  const who = nodes(trouble.nodes);
  const detail = trouble.text.split("; nothing was accepted")[0]?.replace(/\.$/, "") ?? trouble.text;
  const values = {
    Who: `${capital(who)} ${many ? t("nodes.down_many") : t("nodes.down_one")}`,
    Node: capital(who),
    node: who,
    it: many ? t("nodes.it_many") : t("nodes.it_one"),
    detail: capital(detail),
  };
  const known = has(`trouble.${trouble.code}.title`);
  const lie = ["misbehaved", "log", "not-logged", "hidden", "contradiction", "charters-differ", "credentials-differ", "model"].includes(trouble.code);
  return (
    <Notice kind={lie ? "stop" : "warn"} title={known ? t(`trouble.${trouble.code}.title`, values) : t("trouble.title")}>
      <p>{known ? t(`trouble.${trouble.code}.text`, values) : capital(trouble.text)}</p>
      {again && (
        <div class="acts">
          <button onClick={again}>{t("do.again")}</button>
        </div>
      )}
    </Notice>
  );
}

export const capital = (text: string) => text.charAt(0).toUpperCase() + text.slice(1);

/** Work that takes a while: what is done, and how far it is where that is known. */
export function Working({ what, part }: { what: string; part?: number | null }) {
  return (
    <div class="progress" role="status">
      <span>{what}</span>
      {part == null ? <progress aria-label={what} /> : <progress aria-label={what} value={part} max={1} />}
    </div>
  );
}

/** Runs `act` and holds what came of it. */
export function useAct<T>(): {
  busy: boolean;
  value: T | null;
  trouble: Trouble | null;
  run: (act: () => Promise<T>) => Promise<T | null>;
  clear: () => void;
} {
  const [state, set] = useState<{ busy: boolean; value: T | null; trouble: Trouble | null }>({ busy: false, value: null, trouble: null });
  const alive = useRef(true);
  useEffect(() => () => void (alive.current = false), []);
  const run = async (act: () => Promise<T>) => {
    set({ busy: true, value: null, trouble: null });
    try {
      const value = await act();
      if (alive.current) set({ busy: false, value, trouble: null });
      return value;
    } catch (error) {
      if (alive.current) set({ busy: false, value: null, trouble: asTrouble(error) });
      return null;
    }
  };
  return { ...state, run, clear: () => set({ busy: false, value: null, trouble: null }) };
}

export function Field(props: { label: string; value: string; set: (value: string) => void; type?: string; complete?: string; hint?: string | null; name: string }) {
  return (
    <label>
      {props.label}
      <input
        name={props.name}
        type={props.type ?? "text"}
        value={props.value}
        autocomplete={props.complete ?? "off"}
        spellcheck={false}
        aria-describedby={props.hint ? `${props.name}-hint` : undefined}
        onInput={(event) => props.set(event.currentTarget.value)}
      />
      {props.hint && (
        <small id={`${props.name}-hint`} class="soft">
          {props.hint}
        </small>
      )}
    </label>
  );
}

/** Hands bytes to the person as a file. */
export function saveFile(name: string, content: BlobPart, type = "application/octet-stream"): void {
  const url = URL.createObjectURL(new Blob([content], { type }));
  const link = Object.assign(document.createElement("a"), { href: url, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

export function ShieldMark() {
  return (
    <svg viewBox="0 0 18 20" fill="none" stroke="currentColor" stroke-width="1.5" aria-hidden="true">
      <path d="M9 1 16.5 3.5V10c0 4.5-3.2 7.6-7.5 9-4.3-1.4-7.5-4.5-7.5-9V3.5Z" />
    </svg>
  );
}

export function Mark() {
  return (
    <svg viewBox="8 6 48 48" fill="none" stroke="currentColor" stroke-width="2.5" aria-hidden="true">
      <circle cx="32" cy="20" r="9" />
      <circle cx="20" cy="42" r="9" />
      <circle cx="44" cy="42" r="9" />
    </svg>
  );
}
