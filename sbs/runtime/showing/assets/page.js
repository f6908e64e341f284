"use strict";
// At each event the page is asked for anew, and its main part put in the place of the old one: what a page looks like
// is decided in one place, on the node. Between two of them at most one request is under way.

const main = document.getElementById("main");
const lost = document.getElementById("lost");
const icon = document.getElementById("icon");
let busy = false;
let stale = false;

function show(text) {
  const fresh = new DOMParser().parseFromString(text, "text/html");
  main.innerHTML = fresh.getElementById("main").innerHTML;
  document.title = fresh.title;
  const wanted = fresh.getElementById("icon").getAttribute("href");
  if (icon.getAttribute("href") !== wanted) icon.setAttribute("href", wanted);
}

function answered(is) {
  lost.hidden = is;
  main.classList.toggle("old", !is);
  if (!is) {
    icon.setAttribute("href", "role/stopped.svg");
    document.title = "no answer";
  }
}

async function refresh() {
  if (busy) {
    stale = true;
    return;
  }
  busy = true;
  do {
    stale = false;
    try {
      const answer = await fetch("./", { headers: { Accept: "text/html" } });
      if (answer.ok) {
        show(await answer.text());
        answered(true);
      }
    } catch {
      answered(false);
    }
  } while (stale);
  busy = false;
}

const events = new EventSource("events");
events.addEventListener("status", refresh);
events.addEventListener("error", refresh); // gone, or too many listen: the answer tells
setInterval(refresh, 10000);
