// The three logs, live: followed, checked and compared in this browser.
import { useEffect, useState } from "preact/hooks";
import { asTrouble, followLogs } from "../core/state";
import type { LogEntry, Logs, Trouble } from "../core/types";
import { clock, number, t, time, word } from "../strings/i18n";
import { Notice, Page, Section, Told, Working } from "../ui/basics";
import { partyName, purposeTitle } from "../ui/consent";

/** Between two looks. */
const EVERY = 4_000;
const SHOWN = 40;

const seen: LogEntry[] = [];

export function Log() {
  const [logs, setLogs] = useState<Logs | null>(null);
  const [failed, setFailed] = useState<Trouble | null>(null);
  const [paused, setPaused] = useState(false);
  useEffect(() => {
    if (paused) return;
    let going = true;
    const look = async () => {
      while (going) {
        try {
          const told = await followLogs();
          for (const entry of told.entries) if (!seen.some((one) => one.index === entry.index)) seen.push(entry);
          seen.sort((a, b) => b.index - a.index).splice(SHOWN);
          if (going) setLogs(told);
        } catch (error) {
          if (going) setFailed(asTrouble(error));
        }
        await new Promise((next) => setTimeout(next, EVERY));
      }
    };
    void look();
    return () => {
      going = false;
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
              {t("log.alike", { count: logs.agreed })}, {t("log.checked", { time: clock(logs.at) })}
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
