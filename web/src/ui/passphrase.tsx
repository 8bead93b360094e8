// Choosing a passphrase, twice the same.
import { useState } from "preact/hooks";
import { t } from "../strings/i18n";
import { Field } from "./basics";

/** Characters at least. */
export const LEAST = 8;

export function NewPassphrase(props: { go: string; busy: boolean; done: (passphrase: string) => void; main?: boolean }) {
  const [passphrase, setPassphrase] = useState("");
  const [repeat, setRepeat] = useState("");
  const short = passphrase.length > 0 && [...passphrase].length < LEAST;
  const differ = repeat.length > 0 && repeat !== passphrase;
  const ready = [...passphrase].length >= LEAST && repeat === passphrase;
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        if (ready && !props.busy) props.done(passphrase);
      }}
    >
      <Field
        name="new-passphrase"
        label={t("enrol.passphrase", { least: LEAST })}
        type="password"
        complete="new-password"
        value={passphrase}
        set={setPassphrase}
        hint={short ? t("enrol.short", { least: LEAST }) : null}
      />
      <Field name="repeat-passphrase" label={t("enrol.repeat")} type="password" complete="new-password" value={repeat} set={setRepeat} hint={differ ? t("enrol.differ") : null} />
      <button class={props.main === false ? "" : "main"} disabled={!ready || props.busy}>
        {props.go}
      </button>
    </form>
  );
}
