// The three logs, live: followed, checked and compared in this browser. The node that serves the page says when there is something new
// (server-sent events); a node that says nothing, or has no place for another listener, is asked now and then instead.
import { useEffect, useState } from "preact/hooks";
import { asTrouble, followLogs } from "../core/state";
import type { LogEntry, Logs, Trouble } from "../core/types";
import { clock, number, t, time, word } from "../strings/i18n";
import { Notice, Page, Section, Told, Working } from "../ui/basics";
import { partyName, purposeTitle } from "../ui/consent";

/** Between two looks: while a node tells us of news, and while none does. */
const TOLD_EVERY = 30_000;
const ASK_EVERY = 4_000;
/** While one log is ahead of another, for a while. */
const SOON = 700;
const SOON_TIMES = 12;
/** Before a stream that ended for good is tried again. */
const LISTEN_AGAIN = 60_000;
const SHOWN = 40;

const seen: LogEntry[] = [];

/** Calls `news` whenever the node says that its log moved on. What it says is not believed, only looked into. Holds a place at the node only
 * while somebody can see the page. */
function listen(news: () => void, changed: (open: boolean) => void) {
  let source: EventSource | null = null;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const state = { open: false, close: () => {} };
  const set = (open: boolean) => {
    state.open = open;
    changed(open);
  };
  const end = () => {
    clearTimeout(timer);
    source?.close();
    source = null;
  };
  const begin = () => {
    end();
    if (document.visibilityState !== "visible") return set(false);
    const stream = new EventSource("/v1/log/events");
    source = stream;
    stream.onopen = () => set(true);
    stream.addEventListener("log", news);
    stream.onerror = () => {
      set(false);
      // A stream that ended begins again by itself; one that was refused does not.
      if (stream.readyState === EventSource.CLOSED) timer = setTimeout(begin, LISTEN_AGAIN);
    };
  };
  document.addEventListener("visibilitychange", begin);
  state.close = () => {
    document.removeEventListener("visibilitychange", begin);
    end();
  };
  begin();
  return state;
}

export function Log() {
  const [logs, setLogs] = useState<Logs | null>(null);
  const [failed, setFailed] = useState<Trouble | null>(null);
  const [paused, setPaused] = useState(false);
  const [live, setLive] = useState(false);
  useEffect(() => {
    if (paused) return;
    let going = true;
    // News that comes while the logs are being read must not be lost.
    let news = false;
    let wake = () => {};
    // The other two publish a moment after the one that told us.
    let behind = 0;
    const look = async () => {
      while (going) {
        news = false;
        try {
          const told = await followLogs();
          for (const entry of told.entries) if (!seen.some((one) => one.index === entry.index)) seen.push(entry);
          seen.sort((a, b) => b.index - a.index).splice(SHOWN);
          behind = told.logs.some((log) => log.size > told.agreed) ? behind + 1 : 0;
          if (going) (setLogs(told), setFailed(null));
        } catch (error) {
          if (going) setFailed(asTrouble(error));
        }
        if (news) continue;
        await new Promise<void>((next) => {
          const soon = behind > 0 && behind < SOON_TIMES;
          const timer = setTimeout(next, soon ? SOON : listening.open ? TOLD_EVERY : ASK_EVERY);
          wake = () => (clearTimeout(timer), next());
        });
      }
    };
    const listening = listen(
      () => ((news = true), wake()),
      (open) => going && setLive(open),
    );
    void look();
    return () => {
      going = false;
      listening.close();
      wake();
    };
  }, [paused]);

  const silent = (trouble: Trouble) => trouble.code === "unavailable";
  const faults = logs?.problems.filter((trouble) => !silent(trouble)) ?? [];
  const waits = logs?.problems.filter(silent) ?? [];
  const verdict = !logs ? null : faults.length ? "bad" : waits.length === 3 ? "nothing" : waits.length ? "waits" : "well";
  const kinds = Object.entries(logs?.by_kind ?? {}).sort((a, b) => b[1] - a[1]);
  const most = Math.max(1, ...kinds.map(([, count]) => count));
  return (
    <Page title={t("log.title")} lead={t("log.lead")} wide>
      {!logs && !failed && <Working what={t("working.logs")} />}
      {failed && <Told trouble={failed} />}
      {logs && verdict && (
        <>
          <Notice kind={verdict === "well" ? "good" : verdict === "bad" ? "stop" : "warn"} title={t(`log.${verdict}`)}>
            <p>
              {t("log.alike", { count: logs.agreed })}, {t("log.checked", { time: clock(logs.at) })}. {t(paused ? "log.paused" : live ? "log.live" : "log.asking")}
            </p>
          </Notice>
          {[...faults, ...waits].map((trouble, i) => (
            <Told key={i} trouble={trouble} />
          ))}
          <div class="nodes">
            {logs.logs.map((log) => (
              <div key={log.node} class="well">
                <h2>{t("node.name", { node: log.node })}</h2>
                <p>{t("log.size", { count: log.size })}</p>
                <p class="soft small">
                  {t("log.root")} <span class="id">{log.root.slice(0, 32)}</span>
                </p>
              </div>
            ))}
          </div>
          <div class="split">
            <Section title={t("log.done")}>
              <div class="bars">
                {kinds.map(([kind, count]) => (
                  <div key={kind}>
                    <span>{word("kind", kind)}</span>
                    <svg viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">
                      <rect width={(100 * count) / most} height="10" />
                    </svg>
                    <span>{number(count)}</span>
                  </div>
                ))}
              </div>
            </Section>
            <Section title={t("log.for")}>
              <div class="scroll" role="region" tabIndex={0} aria-label={t("log.for")}>
                <table>
                  <tbody>
                    {logs.by_purpose.map((row) => (
                      <tr key={row.party + row.purpose}>
                        <td>{purposeTitle(row.purpose)}</td>
                        <td>{row.party ? partyName(row.party) : t("log.members")}</td>
                        <td class="num">{number(row.count)}</td>
                      </tr>
                    ))}
                  </tbody>
                </table>
              </div>
            </Section>
          </div>
          <Section title={t("log.newest")}>
            <div class="acts">
              <button onClick={() => setPaused(!paused)}>{t(paused ? "log.go" : "log.pause")}</button>
            </div>
            {seen.length === 0 && <p>{t("log.empty")}</p>}
            <div class="scroll" role="region" tabIndex={0} aria-label={t("log.newest")}>
              <table aria-live="off">
                <tbody>
                  {seen.map((entry) => (
                    <tr key={entry.index}>
                      <td class="num soft">{number(entry.index)}</td>
                      <td>{word("kind", entry.kind)}</td>
                      <td>{entry.purpose ? purposeTitle(entry.purpose) : ""}</td>
                      <td>{entry.party ? partyName(entry.party) : ""}</td>
                      <td>{entry.mine && <span class="sign well">{t("log.mine")}</span>}</td>
                      <td class="soft small">{time(entry.at)}</td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </div>
          </Section>
        </>
      )}
    </Page>
  );
}
