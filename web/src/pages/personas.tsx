// Personas: who one is elsewhere. A list of marks; one of them; being somebody new.
import { useEffect, useState } from "preact/hooks";
import { client } from "../core/client";
import { keep, touch } from "../core/state";
import type { Code, Context, Decision, Persona, Personas as All, Use } from "../core/types";
import { go, rest } from "../router";
import { t, time } from "../strings/i18n";
import { Field, Notice, Page, Rows, Section, Told, Working, saveFile, useAct } from "../ui/basics";
import { Bring, Glyph, Qr } from "../ui/bring";
import { Decided } from "../ui/proof";
import { Check, Prove, Reveal } from "./showing";

/** A new code so often; each is good for thirty seconds. */
const CODE_EVERY = 10_000;

export function Personas() {
  const where = rest("personas");
  if (where === "new") return <New />;
  if (where === "prove") return <Prove />;
  if (where === "check") return <Check />;
  if (where?.startsWith("reveal/")) return <Reveal one={where.slice(7)} />;
  return where ? <One pseudonym={where} /> : <List />;
}

export function learns(context: Context): string[] {
  const demands = context.demands.map(({ attribute, value }) => {
    const name = t(`attribute.${attribute}`);
    return value === null ? name : value === "" ? t("personas.learn_nothing", { attribute: name }) : t("personas.learn_value", { attribute: name, value });
  });
  return [t("personas.learn_person"), t("personas.learn_name"), ...demands];
}

/** What a context says, in the order in which a person wants to know it. */
export function Place({ context }: { context: Context }) {
  return (
    <Rows
      rows={[
        [t("terms.who"), context.verifier],
        [t("personas.place"), context.id],
        [t("personas.admits"), t(`personas.kind.${context.kind}`)],
        [
          t("terms.learn"),
          <ul class="lines">
            {learns(context).map((line) => (
              <li key={line}>{line}</li>
            ))}
          </ul>,
        ],
        ...context.demands.filter(({ one_of }) => one_of.length > 0).map(({ attribute, one_of }): [string, string] => [t(`attribute.${attribute}`), t("personas.one_of", { values: one_of.join(", ") })]),
        [t("terms.not"), t("personas.learn_not")],
        context.opens != null && [t("personas.opens"), time(context.opens)],
        context.closes != null && [t("terms.until"), time(context.closes)],
        [t("terms.back"), t("personas.back")],
      ]}
    />
  );
}

function List() {
  const act = useAct<All>();
  useEffect(() => void act.run(client.personas), []);
  const personas = act.value?.personas ?? [];
  return (
    <Page title={t("nav.personas")} lead={t("personas.lead")}>
      {act.busy && <Working what={t("working.personas")} />}
      {act.trouble && <Told trouble={act.trouble} again={() => void act.run(client.personas)} />}
      {act.value && personas.length === 0 && <p>{t("personas.none")}</p>}
      {personas.length > 0 && (
        <ul class="marks">
          {personas.map((persona) => (
            <li key={persona.pseudonym} class={persona.retired ? "retired" : ""}>
              <a href={`#/personas/${persona.pseudonym}`}>
                <Glyph svg={persona.glyph.svg} words="" />
                <span>
                  <strong>{persona.label}</strong>
                  <span class="soft small">{t(persona.retired ? "personas.retired_short" : "personas.known", { verifier: persona.context.verifier })}</span>
                </span>
              </a>
            </li>
          ))}
        </ul>
      )}
      {act.value && (
        <div class="acts">
          <a class="button main" href="#/personas/new">
            {t("personas.new")}
          </a>
          {personas.length > 0 && (
            <a class="button" href="#/personas/prove">
              {t("personas.prove")}
            </a>
          )}
          <a class="button" href="#/personas/check">
            {t("personas.check")}
          </a>
        </div>
      )}
      {act.value && <Wallet all={act.value} changed={() => void act.run(client.personas)} />}
    </Page>
  );
}

function Wallet({ all, changed }: { all: All; changed: () => void }) {
  const act = useAct<unknown>();
  return (
    <Section title={t("personas.wallet")}>
      <p>{t("personas.wallet_text")}</p>
      {all.wallet && all.bound && <p class="soft">{t("personas.fresh", { count: all.credentials ?? 0, time: time(all.renew_at ?? 0) })}</p>}
      <div class="acts">
        {all.wallet && <button onClick={() => void act.run(async () => saveFile("me.wallet", (await client.walletFile()) as BlobPart))}>{t("personas.wallet_save")}</button>}
        <label class="file">
          <span class="button">{t("personas.wallet_bring")}</span>
          <input
            type="file"
            name="wallet-file"
            onChange={(event) => {
              const file = event.currentTarget.files?.[0];
              event.currentTarget.value = "";
              if (file) void act.run(async () => (await client.bringWallet(new Uint8Array(await file.arrayBuffer())), changed()));
            }}
          />
        </label>
      </div>
      {act.trouble && <Told trouble={act.trouble} />}
    </Section>
  );
}

function New() {
  const [source, setSource] = useState("");
  const [label, setLabel] = useState("");
  const read = useAct<{ context: Context; persona: Persona | null }>();
  const made = useAct<{ persona: Persona; new: boolean; decision: Decision | null; fetched: number | null }>();
  const bring = (text: string) => {
    setSource(text);
    if (text.trim()) void read.run(() => client.context(text));
    else read.clear();
  };
  if (made.value) {
    const { persona, decision, fetched } = made.value;
    return (
      <Page title={t(persona.retired ? "personas.given_up" : made.value.new ? "personas.made" : "personas.known_already", { label: persona.label })}>
        <Glyph svg={persona.glyph.svg} words={persona.glyph.description} size="9rem" />
        <p>{t("personas.mark", { name: persona.glyph.name })}</p>
        {fetched && <Notice kind="plain" text={t("personas.wait")} />}
        {decision && (
          <Section title={t("personas.bound")}>
            <p>{t("personas.bound_text")}</p>
            <Decided decision={decision} />
          </Section>
        )}
        <div class="acts">
          <a class="button main" href={`#/personas/${persona.pseudonym}`}>
            {t("personas.see")}
          </a>
          <a class="button" href="#/personas">
            {t("nav.personas")}
          </a>
        </div>
      </Page>
    );
  }
  const place = read.value?.context;
  return (
    <Page title={t("personas.new")} lead={t("personas.new_text")}>
      <Bring name="context" label={t("personas.context")} text={source} set={bring} accept=".json,application/json" fits={(text) => text.trim().startsWith("{")} />
      <p class="soft small">{t("personas.no_link")}</p>
      {read.trouble && <Told trouble={read.trouble} />}
      {place && (
        <Section title={t("personas.would")}>
          <Place context={place} />
          {!place.open && <Notice kind="warn" text={t("trouble.not-open.text")} />}
          {read.value?.persona && <Notice kind="plain" text={t("personas.already", { label: read.value.persona.label })} />}
          <form
            onSubmit={(event) => {
              event.preventDefault();
              if (made.busy) return;
              void made.run(async () => {
                touch();
                const told = await client.newPersona(source, label);
                if (told.decision) await keep(told.decision.receipt);
                return told;
              });
            }}
          >
            <Field name="label" label={t("personas.label")} value={label} set={setLabel} />
            <button class="main" disabled={made.busy}>
              {t("personas.go")}
            </button>
          </form>
          {made.busy && <Working what={t("working.persona")} />}
          {made.trouble && <Told trouble={made.trouble} />}
        </Section>
      )}
    </Page>
  );
}

function One({ pseudonym }: { pseudonym: string }) {
  const act = useAct<Persona | undefined>();
  const [code, setCode] = useState(false);
  const [sure, setSure] = useState(false);
  const retire = useAct<Persona>();
  useEffect(() => void act.run(async () => (await client.personas()).personas.find((one) => one.pseudonym === pseudonym)), []);
  const persona = retire.value ?? act.value;
  if (!persona) {
    return (
      <Page title={t("nav.personas")}>
        {act.busy ? <Working what={t("working.personas")} /> : <Told trouble={act.trouble ?? { code: "no-persona", text: "", nodes: [] }} />}
      </Page>
    );
  }
  return (
    <Page title={persona.label}>
      <div class="portrait">
        <Glyph svg={persona.glyph.svg} words={persona.glyph.description} size="9rem" />
        <div>
          <p>{t("personas.mark", { name: persona.glyph.name })}</p>
          <p class="soft">{persona.glyph.description}</p>
        </div>
      </div>
      {persona.retired && <Notice kind="plain" text={t("personas.retired", { time: time(persona.retired) })} />}
      <Rows
        rows={[
          [t("personas.to"), persona.context.verifier],
          [t("personas.place"), persona.context.id],
          [t("personas.admits"), t(`personas.kind.${persona.context.kind}`)],
          persona.context.closes != null && [t("terms.until"), time(persona.context.closes)],
          [t("personas.since"), time(persona.since)],
          [t("personas.pseudonym"), <span class="id">{persona.pseudonym}</span>],
        ]}
      />
      {!persona.retired && (
        <div class="acts">
          <a class="button main" href="#/personas/prove">
            {t("personas.prove")}
          </a>
          <button aria-expanded={code} onClick={() => setCode(!code)}>
            {t(code ? "personas.code_hide" : "personas.code")}
          </button>
          <a class="button" href={`#/personas/reveal/${pseudonym}`}>
            {t("personas.reveal")}
          </a>
        </div>
      )}
      {code && !persona.retired && <Now pseudonym={pseudonym} />}
      <Section title={t("personas.uses")}>
        {persona.uses.length === 0 && <p>{t("personas.no_uses")}</p>}
        <ul class="list">
          {[...persona.uses].reverse().map((use, i) => (
            <li key={i}>
              <div class="between">
                <span>{said(use)}</span>
                <span class="soft small">{time(use.at)}</span>
              </div>
            </li>
          ))}
        </ul>
      </Section>
      {!persona.retired && (
        <Section title={t("personas.retire")}>
          <p>{t("personas.retire_text")}</p>
          <div class="acts">
            {sure ? (
              <>
                <button class="stop" disabled={retire.busy} onClick={() => void retire.run(() => client.retirePersona(pseudonym))}>
                  {t("personas.retire_sure")}
                </button>
                <button onClick={() => setSure(false)}>{t("do.cancel")}</button>
              </>
            ) : (
              <button onClick={() => setSure(true)}>{t("personas.retire")}</button>
            )}
          </div>
          {retire.trouble && <Told trouble={retire.trouble} />}
        </Section>
      )}
      <div class="acts">
        <button class="text" onClick={() => go("personas")}>
          {t("personas.all")}
        </button>
      </div>
    </Page>
  );
}

function said(use: Use): string {
  if (use.act === "shown") {
    const list = use.disclosed.map(({ attribute, value }) => `${t(`attribute.${attribute}`)}: ${value}`).join(", ");
    return list ? t("personas.use_shown", { list }) : t("personas.use_shown_nothing");
  }
  if (use.act === "carried") {
    const list = use.disclosed.map(({ attribute, value }) => `${attribute}: ${value}`).join(", ");
    return list ? t("personas.use_carried", { to: use.to, list }) : t("personas.use_carried_nothing", { to: use.to });
  }
  if (use.act === "revealed") return t(use.to_one ? "personas.use_revealed_one" : "personas.use_revealed", { other: use.other });
  return t("personas.use_refused", { why: use.why });
}

/** The code of this moment, and the next one, for who stands before the person. */
function Now({ pseudonym }: { pseudonym: string }) {
  const [code, setCode] = useState<Code | null>(null);
  const failed = useAct<void>();
  useEffect(() => {
    const next = () => void failed.run(async () => setCode(await client.personaCode(pseudonym)));
    next();
    const timer = setInterval(() => (touch(), next()), CODE_EVERY);
    return () => clearInterval(timer);
  }, []);
  if (failed.trouble) return <Told trouble={failed.trouble} />;
  if (!code) return <Working what={t("working.personas")} />;
  return (
    <Section title={t("personas.code_title")}>
      <p>{t("personas.code_text")}</p>
      <div class="portrait" data-made={code.made_at}>
        <Glyph svg={code.svg} words={code.description} size="14rem" />
        <Qr text={code.code} label={t("personas.code_qr")} />
      </div>
      <details>
        <summary>{t("bring.text")}</summary>
        <pre tabIndex={0}>{code.code}</pre>
      </details>
    </Section>
  );
}
