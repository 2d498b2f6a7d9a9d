// Everything works without this file. It presses the button of a sign-in link, and brings what happens while a page is open.
"use strict";

const enter = document.querySelector("form[data-now]");
if (enter) enter.requestSubmit();

const lines = document.getElementById("lines");
const live = document.getElementById("live");
const blank = document.getElementById("line");
const MOST = 200;

/** Adds a line of the trail. What it says is set as text. */
function add(said) {
  const line = blank.content.firstElementChild.cloneNode(true);
  for (const part of ["when", "what", "code", "whose", "more"]) {
    line.querySelector("." + part).textContent = said[part] ?? "";
  }
  line.classList.toggle("trouble", Boolean(said.code));
  line.classList.add("new");
  lines.prepend(line);
  while (lines.children.length > MOST) lines.lastElementChild.remove();
  document.getElementById("no-lines")?.remove();
}

/** Brings the sections that may have changed, but for one in which somebody is at work. */
async function renew() {
  const url = new URL(location.href);
  url.searchParams.delete("said");
  const answer = await fetch(url, { credentials: "same-origin" });
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const id of ["logins", "sessions"]) {
    const [before, after] = [document.getElementById(id), page.getElementById(id)];
    if (!before || !after || before.querySelector(":focus, details[open]")) continue;
    before.replaceWith(document.adoptNode(after));
  }
  const [before, after] = [document.getElementById("attention"), page.getElementById("attention")];
  if (before && after) before.replaceWith(document.adoptNode(after));
  else if (before) before.remove();
  else if (after) document.getElementById("logins").before(document.adoptNode(after));
}

if (lines && blank && window.EventSource) {
  const events = new EventSource("/console/trail?from=" + encodeURIComponent(lines.dataset.from));
  let timer;
  events.onopen = () => { live.textContent = "Live"; live.classList.add("on"); };
  events.onerror = () => { live.textContent = "Not live at the moment"; live.classList.remove("on"); };
  events.onmessage = (event) => {
    add(JSON.parse(event.data));
    clearTimeout(timer);
    timer = setTimeout(() => renew().catch(() => {}), 250);
  };
}
