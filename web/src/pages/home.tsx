// Where a visit begins: for a stranger what this is, for a member where they stand.
import { useEffect, useState } from "preact/hooks";
import { commonsName, device, expired, keyFile, lock, member, refresh, statements } from "../core/state";
import { client } from "../core/client";
import type { Shares } from "../core/types";
import { t, time } from "../strings/i18n";
import { Notice, Page, Section, Told, Working, useAct } from "../ui/basics";
import { Grey } from "../ui/fields";
import { Unlock } from "../ui/gate";
import { Recovering } from "./recover";
import { newer } from "./renew";

export function Home() {
  if (device.value) return <Member />;
  if (expired.value) return <Unlock />;
  return (
    <Page title={t("home.title")} lead={t("home.lead", { commons: commonsName.value })}>
      <Picture />
      <div class="acts">
        {keyFile.value ? (
          <a class="button main" href="#/unlock">
            {t("home.open")}
          </a>
        ) : (
          <a class="button main" href="#/enrol">
            {t("home.enrol")}
          </a>
        )}
        <a class="button" href="#/tour">
          {t("home.tour")}
        </a>
        <a class="button" href="#/rules">
          {t("home.rules")}
        </a>
        {!keyFile.value && (
          <>
            <a class="button" href="#/keys">
              {t("home.open")}
            </a>
            <a class="button" href="#/recover">
              {t("home.lost")}
            </a>
          </>
        )}
      </div>
    </Page>
  );
}

/** Cells across the drawing. */
const SIDE = 48;

/** A drawn face as a template would be, and its three real shares: made by the function that splits templates. */
function Picture() {
  const [shares, setShares] = useState<Shares | null>(null);
  useEffect(() => void client.showShares(face(SIDE)).then(setShares, () => undefined), []);
  const empty = new Uint8Array(SIDE * SIDE).fill(200);
  return (
    <figure>
      <div class="fields">
        <figure>
          <Grey values={shares?.values ?? face(SIDE)} label={t("home.yours")} side={SIDE} />
          <figcaption>{t("home.yours")}</figcaption>
        </figure>
        {[0, 1, 2].map((part) => (
          <figure key={part}>
            <Grey values={shares?.shares[part] ?? empty} label={t("home.for_node", { node: part + 1 })} side={SIDE} />
            <figcaption>{t("home.for_node", { node: part + 1 })}</figcaption>
          </figure>
        ))}
      </div>
      <figcaption>{t("home.picture")}</figcaption>
    </figure>
  );
}

/** A plain drawing of a face in greys. */
export function face(side: number): Uint32Array {
  const out = new Uint32Array(side * side);
  const spot = (x: number, y: number, cx: number, cy: number, rx: number, ry: number) => ((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 < 1;
  for (let j = 0; j < side; j++) {
    for (let i = 0; i < side; i++) {
      const [x, y] = [(i + 0.5) / side, (j + 0.5) / side];
      let grey = 236 - 24 * y;
      if (y > 0.8 && spot(x, y, 0.5, 1.08, 0.46, 0.26)) grey = 92 + 30 * Math.abs(x - 0.5);
      if (Math.abs(x - 0.5) < 0.09 && y > 0.7 && y < 0.92) grey = 140;
      if (spot(x, y, 0.5, 0.4, 0.29, 0.33)) grey = 70;
      if (spot(x, y, 0.5, 0.5, 0.235, 0.32)) grey = 190 - 70 * Math.abs(x - 0.45) - 18 * y;
      if (spot(x, y, 0.5, 0.22, 0.25, 0.1)) grey = 74;
      if (spot(x, y, 0.405, 0.46, 0.052, 0.026) || spot(x, y, 0.595, 0.46, 0.052, 0.026)) grey = 232;
      if (spot(x, y, 0.405, 0.46, 0.024, 0.026) || spot(x, y, 0.595, 0.46, 0.024, 0.026)) grey = 34;
      if (spot(x, y, 0.405, 0.405, 0.06, 0.014) || spot(x, y, 0.595, 0.405, 0.06, 0.014)) grey = 64;
      if (spot(x, y, 0.512, 0.55, 0.022, 0.055)) grey = 138;
      if (spot(x, y, 0.5, 0.665, 0.085, 0.02)) grey = 104;
      out[j * side + i] = Math.round(grey);
    }
  }
  return out;
}

function Member() {
  const act = useAct<unknown>();
  useEffect(() => void act.run(refresh), []);
  const one = member.value;
  const told = statements.value;
  const active = one?.grants.filter((grant) => grant.state === "active").length ?? 0;
  const silent = told?.nodes.flatMap((node) => (node.trouble ? [node.trouble] : [])) ?? [];
  const worst = silent.find((trouble) => trouble.code === "misbehaved") ?? silent[0];
  return (
    <Page title={one ? t("home.member_title") : t("nav.home")}>
      {!told && act.busy && <Working what={t("working.nodes")} />}
      {act.trouble && <Told trouble={act.trouble} again={() => void act.run(refresh)} />}
      {worst && <Told trouble={{ ...worst, nodes: silent.flatMap((trouble) => trouble.nodes) }} again={() => void act.run(refresh)} />}
      {told && !told.agree && <Notice kind="warn" text={t("home.disagree")} />}
      {told && !one && !worst && told.replaced && (
        <Notice kind="stop" title={t("home.replaced", { time: time(told.replaced) })}>
          <p>{t("home.replaced_text")}</p>
        </Notice>
      )}
      {told && !one && !worst && !told.replaced && (
        <>
          <p>{t("home.not_member")}</p>
          <div class="acts">
            <a class="button main" href="#/enrol">
              {t("home.enrol")}
            </a>
            <a class="button" href="#/recover">
              {t("home.lost")}
            </a>
          </div>
        </>
      )}
      {one && (
        <>
          <p>{t("home.since", { time: time(one.since) })}</p>
          {one.shield && (
            <Notice kind="warn" title={t("shield.is_up")}>
              <p>
                <a href="#/shield">{t("shield.down_title")}</a>
              </p>
            </Notice>
          )}
          {one.guarded?.recoveries
            .filter((recovery) => recovery.state === "waiting" && recovery.device !== device.value)
            .map((recovery) => (
              <Recovering key={recovery.recovery} recovery={recovery} />
            ))}
          <p>
            <a href="#/guardians">{one.guarded ? t("guardians.some", { count: one.guarded.guardians, need: one.guarded.need }) : t("guardians.none")}</a>
          </p>
          <p>{one.asks.length ? <a href="#/requests">{t("home.waiting", { count: one.asks.length })}</a> : t("home.nobody_waits")}</p>
          <p>{active ? <a href="#/ledger">{t("home.grants", { count: active })}</a> : t("home.no_grants")}</p>
          {newer() && (
            <Notice kind="plain" title={t("renew.better")}>
              <p>
                <a href="#/renew">{t("renew.move")}</a>
              </p>
            </Notice>
          )}
          <div class="acts">
            <a class="button main" href="#/verify">
              {t("home.prove")}
            </a>
            <a class="button" href="#/inspect">
              {t("home.inspect")}
            </a>
            <a class="button" href="#/renew">
              {t("home.renew")}
            </a>
            <a class="button" href="#/withdraw">
              {t("home.withdraw")}
            </a>
          </div>
        </>
      )}
      <Section title={t("nav.keys")}>
        <p class="id">{device.value}</p>
        <div class="acts">
          <button onClick={() => void lock()}>{t("home.lock")}</button>
          <a class="button" href="#/keys">
            {t("nav.keys")}
          </a>
        </div>
      </Section>
    </Page>
  );
}
