// What a person must see before they agree: who, what for, what they learn and what not, until when, how to take it back.
import { charter } from "../core/state";
import type { Terms } from "../core/types";
import { t, time } from "../strings/i18n";
import { Rows } from "./basics";

export function partyName(id: string): string {
  return charter.value?.document.parties?.find((one) => one.id === id)?.name ?? id;
}

export function purposeTitle(term: string): string {
  return charter.value?.document.purposes?.find((one) => one.term === term)?.title ?? term;
}

export function Consent({ terms }: { terms: Terms }) {
  const rules = charter.value;
  const party = rules?.document.parties?.find((one) => one.id === terms.party);
  const purpose = rules?.document.purposes?.find((one) => one.term === terms.purpose);
  return (
    <Rows
      rows={[
        [t("terms.who"), party ? `${party.name} (${party.id}), ${party.contact}` : t("terms.who_unknown", { party: terms.party })],
        [t("terms.for"), purpose ? `${purpose.title}. ${purpose.text}` : terms.purpose],
        terms.note ? [t("terms.note"), terms.note] : null,
        [t("terms.asked"), t(`terms.${terms.operation}`)],
        [t("terms.learn"), rules?.reveals[terms.operation] ?? ""],
        [t("terms.not"), t("terms.not_text")],
        [t("terms.often"), t("terms.uses", { count: terms.uses })],
        [t("terms.until"), time(terms.expires_at)],
        [t("terms.back"), t("terms.back_text")],
      ]}
    />
  );
}
