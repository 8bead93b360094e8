// Decisions and receipts, as a person reads them.
import { useState } from "preact/hooks";
import { client } from "../core/client";
import { asTrouble } from "../core/state";
import type { Checked, Decision, Kept, Trouble } from "../core/types";
import { capital } from "./basics";
import { nodes, t, time, word } from "../strings/i18n";
import { Notice, Rows, Told, Working, saveFile } from "./basics";

/** What every decision says below its headline. */
export function Decided({ decision }: { decision: Decision }) {
  return (
    <>
      <Rows
        rows={[
          [t("receipt.decided"), t("receipt.decided_text", { time: time(decision.decided_at) })],
          [
            t("receipt.entry"),
            decision.unproven && decision.unproven.code !== "not-published" && decision.unproven.code !== "unavailable" ? (
              <Told trouble={decision.unproven} />
            ) : (
              t(decision.unproven ? "receipt.entry_waits" : "receipt.entry_proven", { index: decision.log_index })
            ),
          ],
          [t("receipt.operation"), <span class="id">{decision.operation}</span>],
        ]}
      />
      {decision.silent.length > 0 && <p class="soft">{t("receipt.silent", { who: capital(nodes(decision.silent)) })}</p>}
      {decision.complaints.map((complaint) => (
        <Notice kind="warn" key={complaint.node} title={capital(nodes([complaint.node]))}>
          <p>{t("receipt.complaint", { text: capital(complaint.text) })}</p>
        </Notice>
      ))}
    </>
  );
}

/** One receipt; opened, it is checked here and shown line by line. */
export function Receipt({ kept }: { kept: Kept }) {
  const [checked, setChecked] = useState<Checked | null>(null);
  const [trouble, setTrouble] = useState<Trouble | null>(null);
  const check = async (open: boolean) => {
    if (!open || checked || trouble) return;
    try {
      setChecked(await client.check(kept));
    } catch (error) {
      setTrouble(asTrouble(error));
    }
  };
  const { summary } = kept;
  return (
    <li>
      <div class="between">
        <span>
          {word("action", summary.action)}
          {summary.party ? `, ${summary.party}` : ""}
        </span>
        <span class="soft small">{time(summary.decided_at)}</span>
      </div>
      <details onToggle={(event) => void check(event.currentTarget.open)} data-operation={summary.operation}>
        <summary>{t("receipt.open")}</summary>
        {trouble ? (
          <Told trouble={trouble} />
        ) : !checked ? (
          <Working what={t("receipt.checking")} />
        ) : (
          <div class="page">
            <Notice kind={checked.logs ? "good" : "plain"} text={t(checked.logs ? "receipt.holds" : "receipt.holds_unproven")} />
            <Rows
              rows={[
                ...checked.lines.map((line): [string, string] => [line.label, line.text]),
                ...(checked.logs?.logs ?? []).map((log): [string, string] => [
                  t("receipt.log", { node: log.node }),
                  t("receipt.log_text", { index: checked.log_index, size: log.size, count: log.cosigned.length }),
                ]),
                [t("receipt.operation"), <span class="id">{summary.operation}</span>],
              ]}
            />
            <div class="acts">
              <button onClick={() => saveFile(`${summary.decided_at}-${summary.operation}-${summary.action}.json`, JSON.stringify(kept, null, 2), "application/json")}>
                {t("do.save")}
              </button>
            </div>
          </div>
        )}
      </details>
    </li>
  );
}

