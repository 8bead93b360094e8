// The frame around every page: where one is, where one can go, and the shield.
import type { ComponentType } from "preact";
import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { commonsName, device, keyFile, member, online, phase, roster, start, touch, trouble } from "./core/state";
import { path } from "./router";
import { t } from "./strings/i18n";
import { Accuracy } from "./pages/accuracy";
import { Nodes, Rules } from "./pages/commons";
import { Enrol } from "./pages/enrol";
import { Guardians } from "./pages/guardians";
import { Home } from "./pages/home";
import { Keys } from "./pages/keys";
import { Ledger } from "./pages/ledger";
import { Log } from "./pages/log";
import { Personas } from "./pages/personas";
import { Recover } from "./pages/recover";
import { Requests } from "./pages/requests";
import { Inspect, Withdraw } from "./pages/self";
import { Shield, ShieldButton } from "./pages/shield";
import { Tour } from "./pages/tour";
import { Renew } from "./pages/renew";
import { Verify } from "./pages/verify";
import { Mark, Notice, Page, Told, Working } from "./ui/basics";
import { Gate } from "./ui/gate";

const MEMBER = ["home", "requests", "ledger", "personas", "guardians", "keys"] as const;
const COMMONS = ["tour", "rules", "nodes", "log", "accuracy"] as const;

const OPEN: Record<string, ComponentType> = { home: Home, enrol: Enrol, keys: Keys, shield: Shield, rules: Rules, nodes: Nodes, log: Log, accuracy: Accuracy, tour: Tour, recover: Recover };
const GATED: Record<string, ComponentType> = { verify: Verify, renew: Renew, requests: Requests, ledger: Ledger, inspect: Inspect, withdraw: Withdraw, personas: Personas, guardians: Guardians, unlock: Home };

const menuOpen = signal(false);

export function App() {
  useEffect(() => {
    const events = ["pointerdown", "keydown"] as const;
    events.forEach((name) => addEventListener(name, touch, { passive: true }));
    return () => events.forEach((name) => removeEventListener(name, touch));
  }, []);
  return (
    <div class="frame">
      <a class="skip" href="#main" onClick={(event) => (event.preventDefault(), document.querySelector<HTMLElement>("main h1")?.focus())}>
        {t("skip")}
      </a>
      <header class="head">
        <a class="brand" href="#/home">
          <Mark />
          <span>{commonsName.value}</span>
        </a>
        {(device.value || keyFile.value) && <ShieldButton />}
        <button class="menu" aria-expanded={menuOpen.value} aria-controls="menu" onClick={() => (menuOpen.value = !menuOpen.value)}>
          {t("nav.menu")}
        </button>
      </header>
      <div class="body">
        <Menu />
        <main id="main">
          <Content />
        </main>
      </div>
      <footer class="foot">
        {roster.value && <span>{t("footer.fingerprint", { digest: roster.value.digest.slice(0, 16) })}</span>}
        {roster.value?.throw_away && <span>{t("throw_away")}</span>}
        <span>{t("footer.reviewed")}</span>
      </footer>
    </div>
  );
}

function Menu() {
  const at = path.value.split("/")[0];
  const waiting = member.value?.asks.length ?? 0;
  const list = (title: string, names: readonly string[]) => (
    <div>
      <h2 id={`nav-${title}`}>{t(`nav.${title}`)}</h2>
      <ul aria-labelledby={`nav-${title}`}>
        {names.map((name) => (
          <li key={name}>
            <a href={`#/${name}`} aria-current={at === name ? "page" : undefined} onClick={() => (menuOpen.value = false)}>
              {t(`nav.${name}`)} {name === "requests" && waiting > 0 && <span class="count">{waiting}</span>}
            </a>
          </li>
        ))}
      </ul>
    </div>
  );
  return (
    <nav id="menu" aria-label={t("nav.label")} class={menuOpen.value ? "open" : ""}>
      {list("member", MEMBER)}
      {list("commons", COMMONS)}
    </nav>
  );
}

function Content() {
  if (phase.value === "failed" && trouble.value) {
    return (
      <Page title={t("name")}>
        <Told trouble={trouble.value} again={() => void start()} />
      </Page>
    );
  }
  if (phase.value === "starting") {
    return (
      <Page title={t("name")}>
        <Working what={t("loading")} />
      </Page>
    );
  }
  const name = path.value.split("/")[0] ?? "home";
  const Gated = GATED[name];
  const Open = OPEN[name] ?? Home;
  return (
    <>
      {!online.value && <Notice kind="warn" text={t("offline")} />}
      {Gated ? (
        <Gate>
          <Gated key={path.value} />
        </Gate>
      ) : (
        <Open key={path.value} />
      )}
    </>
  );
}
