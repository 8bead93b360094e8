// A persona before others: answering a challenge, revealing that two are one, and checking what somebody else shows.
import { useEffect, useState } from "preact/hooks";
import { client } from "../core/client";
import { touch } from "../core/state";
import type { Asked, Persona, Seen, ShownPersona } from "../core/types";
import { t, time } from "../strings/i18n";
import { Field, Notice, Page, Rows, Section, Told, Working, useAct } from "../ui/basics";
import { Bring, Glyph, HandOut } from "../ui/bring";
import { Place } from "./personas";

/** Whether a text says that it is a web site's request, which names where the answer goes. */
const isRequest = (text: string) => text.includes("trust-commons/proof-request");

export function Prove() {
  const [source, setSource] = useState("");
  const [to, setTo] = useState("");
  const asked = useAct<Asked>();
  const shown = useAct<ShownPersona>();
  const request = isRequest(source);
  const read = (text: string, from: string) => {
    if (!text.trim() || (isRequest(text) && !from.trim())) return asked.clear();
    void asked.run(() => client.readChallenge(text, from.trim()));
  };
  if (shown.value) return <Shown shown={shown.value} answer={asked.value?.answer} />;
  const { value } = asked;
  return (
    <Page title={t("personas.prove")} lead={t("personas.prove_text")}>
      <Bring
        name="challenge"
        label={t("personas.challenge")}
        text={source}
        set={(text) => (setSource(text), read(text, to))}
        accept=".json,application/json"
        fits={(text) => text.trim().startsWith("{")}
      />
      <Field
        name="to"
        label={t(request ? "personas.to_address" : "personas.to_whom")}
        value={to}
        set={(text) => (setTo(text), request && read(source, text))}
        hint={t(request ? "personas.to_address_hint" : "personas.to_whom_hint")}
      />
      {asked.trouble && <Told trouble={asked.trouble} />}
      {value && (
        <Section title={t("personas.they_ask")}>
          {value.digits && <p>{t("personas.digits", { digits: value.digits })}</p>}
          {value.persona && (
            <div class="portrait">
              <Glyph svg={value.persona.glyph.svg} words={value.persona.glyph.description} size="5rem" />
              <p>{t("personas.as", { label: value.persona.label })}</p>
            </div>
          )}
          <Place context={value.context} />
          <p class="soft small">{t("personas.until", { time: time(value.expires_at) })}</p>
          <div class="acts">
            <button class="main" disabled={!to.trim() || shown.busy} onClick={() => void shown.run(() => (touch(), client.prove(source, to.trim())))}>
              {t("personas.show")}
            </button>
            <a class="button" href="#/personas">
              {t("requests.refuse")}
            </a>
          </div>
        </Section>
      )}
      {shown.busy && <Working what={t("working.prove")} />}
      {shown.trouble && <Told trouble={shown.trouble} />}
      <p class="soft small">{t("personas.no_fetch")}</p>
    </Page>
  );
}

function Shown({ shown, answer }: { shown: ShownPersona; answer?: string }) {
  return (
    <Page title={t("personas.shown", { to: shown.to })}>
      <div class="portrait">
        <Glyph svg={shown.persona.glyph.svg} words={shown.persona.glyph.description} size="5rem" />
        <p>{t("personas.as", { label: shown.persona.label })}</p>
      </div>
      <Notice kind="good" text={t("personas.shown_text")} />
      {shown.disclosed.length > 0 && <Rows rows={shown.disclosed.map(({ attribute, value }) => [t(`attribute.${attribute}`), value || t("personas.not_vouched")])} />}
      {answer && <p>{t("personas.send_to", { answer })}</p>}
      <HandOut text={shown.presentation} file="proof.json" type="application/json" />
      <div class="acts">
        <a class="button" href="#/personas">
          {t("nav.personas")}
        </a>
      </div>
    </Page>
  );
}

export function Reveal({ one }: { one: string }) {
  const list = useAct<Persona[]>();
  const [other, setOther] = useState("");
  const [alone, setAlone] = useState(false);
  const [key, setKey] = useState("");
  const [nonce, setNonce] = useState("");
  const act = useAct<{ file: string; to: string | null }>();
  useEffect(() => void list.run(async () => (await client.personas()).personas.filter((persona) => !persona.retired)), []);
  const persona = list.value?.find((known) => known.pseudonym === one);
  const others = list.value?.filter((known) => known.pseudonym !== one) ?? [];
  const chosen = others.find((known) => known.pseudonym === other);
  if (act.value) {
    return (
      <Page title={t("personas.revealed")}>
        <Notice kind="good" text={act.value.to ? t("personas.revealed_one", { to: act.value.to }) : t("personas.revealed_all")} />
        <HandOut text={act.value.file} file="reveal.json" type="application/json" />
        <div class="acts">
          <a class="button" href={`#/personas/${one}`}>
            {t("do.done")}
          </a>
        </div>
      </Page>
    );
  }
  return (
    <Page title={t("personas.reveal")} lead={t("personas.reveal_text")}>
      {list.busy && <Working what={t("working.personas")} />}
      {list.trouble && <Told trouble={list.trouble} />}
      {list.value && !persona && <Told trouble={{ code: "no-persona", text: "", nodes: [] }} />}
      {persona && others.length === 0 && <Notice kind="plain" text={t("personas.reveal_one_only")} />}
      {persona && others.length > 0 && (
        <form
          onSubmit={(event) => {
            event.preventDefault();
            if (chosen) void act.run(() => (touch(), client.reveal(one, other, alone ? key : undefined, nonce.trim() || undefined)));
          }}
        >
          <fieldset>
            <legend>{t("personas.reveal_which", { label: persona.label })}</legend>
            {others.map((known) => (
              <label class="check" key={known.pseudonym}>
                <input type="radio" name="other" checked={other === known.pseudonym} onChange={() => setOther(known.pseudonym)} />
                <span class="portrait">
                  <Glyph svg={known.glyph.svg} words="" size="2.5rem" />
                  <span>
                    {known.label}, {known.context.verifier}
                  </span>
                </span>
              </label>
            ))}
          </fieldset>
          <fieldset>
            <legend>{t("personas.reveal_whom")}</legend>
            <label class="check">
              <input type="radio" name="whom" checked={!alone} onChange={() => setAlone(false)} />
              <span>{t("personas.reveal_all")}</span>
            </label>
            <label class="check">
              <input type="radio" name="whom" checked={alone} onChange={() => setAlone(true)} />
              <span>{t("personas.reveal_alone")}</span>
            </label>
          </fieldset>
          {alone && <Bring name="reveal-key" label={t("personas.reveal_key")} text={key} set={setKey} accept=".json,application/json" />}
          <Field name="nonce" label={t("personas.nonce")} value={nonce} set={setNonce} />
          <Notice kind="warn" text={t("personas.unsaid")} />
          <button class="main" disabled={!chosen || (alone && !key.trim()) || act.busy}>
            {t("personas.reveal_go")}
          </button>
        </form>
      )}
      {act.busy && <Working what={t("working.prove")} />}
      {act.trouble && <Told trouble={act.trouble} />}
    </Page>
  );
}

export function Check() {
  return (
    <Page title={t("personas.check")} lead={t("personas.check_text")}>
      <CheckCode />
      <CheckReveal />
    </Page>
  );
}

function CheckCode() {
  const [context, setContext] = useState("");
  const [code, setCode] = useState("");
  const act = useAct<Seen>();
  return (
    <Section title={t("personas.check_code")}>
      <Bring name="check-context" label={t("personas.context")} text={context} set={setContext} accept=".json,application/json" fits={(text) => text.trim().startsWith("{")} />
      <Bring name="check-code" label={t("personas.code_theirs")} text={code} set={setCode} fits={(text) => text.includes("trust-commons/persona-code")} />
      <div class="acts">
        <button disabled={!context.trim() || !code.trim() || act.busy} onClick={() => void act.run(() => client.checkCode(code, context))}>
          {t("personas.check_go")}
        </button>
      </div>
      {act.trouble && <Told trouble={act.trouble} />}
      {act.value && (
        <>
          <Notice kind="good" text={t("personas.code_good")} />
          <div class="portrait">
            <Glyph svg={act.value.svg} words={act.value.description ?? ""} size="9rem" />
            <div>
              <p>{t("personas.mark", { name: act.value.name })}</p>
              <p class="id">{act.value.pseudonym}</p>
            </div>
          </div>
        </>
      )}
    </Section>
  );
}

function CheckReveal() {
  const [source, setSource] = useState("");
  const act = useAct<[Seen, Seen]>();
  return (
    <Section title={t("personas.check_reveal")}>
      <Bring name="check-reveal" label={t("personas.reveal_file")} text={source} set={setSource} accept=".json,application/json" />
      <div class="acts">
        <button disabled={!source.trim() || act.busy} onClick={() => void act.run(() => client.checkReveal(source))}>
          {t("personas.check_go")}
        </button>
      </div>
      {act.trouble && <Told trouble={act.trouble} />}
      {act.value && (
        <>
          <Notice kind="good" text={t("personas.one_person")} />
          <div class="portrait">
            {act.value.map((one) => (
              <figure key={one.pseudonym}>
                <Glyph svg={one.svg} words={one.name} size="5rem" />
                <figcaption>
                  {one.context}, {one.verifier}
                </figcaption>
              </figure>
            ))}
          </div>
        </>
      )}
    </Section>
  );
}
