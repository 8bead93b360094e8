// Asks whether the person's device has answered; then lets the browser go on. Without script the page reloads itself.
"use strict";
const state = document.body.dataset.state;
async function ask() {
  try {
    const answer = await fetch(state, { cache: "no-store", credentials: "same-origin" });
    if (answer.ok && !(await answer.json()).waits) {
      location.reload();
      return;
    }
  } catch {
    // The network is away for a moment: ask again.
  }
  setTimeout(ask, 1500);
}
setTimeout(ask, 1500);
