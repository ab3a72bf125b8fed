"use strict";
// What the pages do beyond links and forms. Parts of pages come from this server alone, as markup that it has escaped.

async function part(address) {
  const answer = await fetch(address, { credentials: "same-origin", headers: { Accept: "text/html" } });
  const text = await answer.text();
  if (answer.ok) return text;
  const said = new DOMParser().parseFromString(text, "text/html").querySelector('[role="alert"]');
  throw new Error(said ? said.textContent : `the server answers ${answer.status}`);
}

function show(element, text) {
  element.innerHTML = text;
  document.dispatchEvent(new Event("figures-added"));
}

(function liveView() {
  const view = document.getElementById("live");
  if (!view) return;
  const state = document.getElementById("live-state");
  async function again() {
    if (!document.hidden) {
      try {
        const text = await part(view.dataset.again);
        if (text !== view.innerHTML) show(view, text);
        state.textContent = "";
      } catch (error) {
        state.textContent = `not up to date: ${error.message}`;
      }
    }
    setTimeout(again, Number(view.dataset.every));
  }
  setTimeout(again, Number(view.dataset.every));
})();

(function whatIf() {
  const form = document.getElementById("what-if");
  if (!form) return;
  const answer = document.getElementById("what-if-answer");
  let asked = 0;
  async function ask() {
    const mine = (asked += 1);
    const parameters = new URLSearchParams(new FormData(form));
    history.replaceState(null, "", `/what-if?${parameters}`); // the address shows the same answer again
    try {
      const text = await part(`/what-if?${parameters}&part=1`);
      if (mine === asked) show(answer, text);
    } catch (error) {
      answer.textContent = error.message;
    }
  }
  function moved(slider) {
    const value = slider.dataset.values.split(" ")[Number(slider.value)];
    const label = slider.closest("label");
    label.querySelector("output").textContent = value;
    slider.setAttribute("aria-valuetext", value);
    form.elements.namedItem(slider.dataset.name).value = value;
  }
  let waiting = 0;
  form.addEventListener("input", (event) => {
    if (event.target.type === "range") moved(event.target);
    clearTimeout(waiting);
    waiting = setTimeout(ask, 150);
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    ask();
  });
})();
