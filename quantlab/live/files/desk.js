// The page is whole without this. It only loads the two parts that change again, and leaves the form.
"use strict";
const lost = document.getElementById("lost");
let busy = false;

async function look() {
  if (busy) return;
  busy = true;
  try {
    const answer = await fetch("/", { cache: "no-store" });
    if (!answer.ok) throw new Error(String(answer.status));
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const id of ["look", "rest"]) {
      document.getElementById(id).replaceChildren(...fresh.getElementById(id).childNodes);
    }
    document.title = fresh.title;
    lost.hidden = true;
  } catch {
    lost.hidden = false;
  } finally {
    busy = false;
  }
}

const source = new EventSource("/events");
source.addEventListener("desk", look);
source.addEventListener("beat", look);
source.addEventListener("open", () => { lost.hidden = true; });
source.addEventListener("error", () => { lost.hidden = false; });
